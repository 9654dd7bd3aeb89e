import type { Command } from 'commander';
import type { CliIo } from '../cli-io.ts';
import { resolveName } from '../drive-names.ts';
import { createKeyFile, passphraseOf } from '../key-file.ts';
import { printInfos, printJson } from '../output/tables.ts';
import { addCommonOptions, withSession, type CommonFlags, type Session } from '../session.ts';
import { allDrives } from './drive-scope.ts';

interface ExportFlags extends CommonFlags {
  readonly keepHoles?: boolean;
  readonly output?: string;
}

const EXPORT_EXAMPLES = `
The passphrase opens the drive's LUKS volume with qemu-img, QEMU or cryptsetup. What was never written is first written as
encrypted zeros, so that other tools read the same bytes; --keep-holes leaves it, and they read noise there.
--output writes the passphrase alone, without a newline, readable only by you: what qemu and cryptsetup take as a key file.

Examples:
  drivebay key export web-1 --output web-1.key
  qemu-img convert --object secret,id=k,file=web-1.key \\
      --image-opts driver=luks,key-secret=k,file.filename=DRIVE-FILE -O raw web-1.img`;

/** The commands of administrators about encryption keys. */
export function addKeyCommands(program: Command, io: CliIo): void {
  const key = program.command('key').description('encryption keys (administrators)');
  addCommonOptions(key.command('export').description("print the passphrase of an encrypted drive's volume"))
    .argument('<drive>', 'UUID, name, or the start of the UUID')
    .option('--keep-holes', 'do not write what was never written')
    .option('--output <file>', 'write the passphrase there instead')
    .addHelpText('after', EXPORT_EXAMPLES)
    .action((drive: string, flags: ExportFlags) =>
      withSession(io, flags, (session) => exportKey(session, drive, flags)),
    );
  addCommonOptions(key.command('rotate').description("wrap all drives' keys anew under a new master key"))
    .addHelpText('after', '\nTouches no data.\n\nExamples:\n  drivebay key rotate')
    .action((flags: CommonFlags) =>
      withSession(io, flags, async (session) => {
        const info = await session.client.postInfo('/admin/master-key/rotate');
        if (session.isJson) printJson(session.io.stdout, info);
        else printInfos(session.io.stdout, [info]);
      }),
    );
}

async function exportKey(session: Session, drive: string, flags: ExportFlags): Promise<void> {
  const { id } = await resolveName(drive, allDrives(session));
  const info = await session.api.exportKey(id, flags.keepHoles !== true);
  const { stdout } = session.io;
  if (flags.output !== undefined) await createKeyFile(flags.output, passphraseOf(info));
  else if (session.isJson) printJson(stdout, info);
  else stdout.write(`${passphraseOf(info)}\n`);
}
