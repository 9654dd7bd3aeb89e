import { InvalidArgumentError, type Command } from 'commander';
import { textOf, type Info } from '../api/api-client.ts';
import { usageError } from '../cli-error.ts';
import type { CliIo } from '../cli-io.ts';
import { resolveName } from '../drive-names.ts';
import { sizeArgument } from '../output/size-text.ts';
import { column, gibColumn, printInfos, printJson, printTable, type Column } from '../output/tables.ts';
import { addCommonOptions, withSession, type CommonFlags, type Session } from '../session.ts';
import { allUsers } from './drive-scope.ts';

interface UserFlags extends CommonFlags {
  readonly name?: string;
  readonly admin?: boolean;
  readonly disable?: boolean;
  readonly enable?: boolean;
  readonly quotaDrives?: string;
  readonly quotaBytes?: string;
}

const COLUMNS: readonly Column[] = [
  column('USER', 'user'),
  column('ADMIN', 'admin'),
  column('DISABLED', 'disabled'),
  { ...column('DRIVES', 'used:drives'), alignRight: true },
  { ...column('OF', 'quota:drives'), alignRight: true },
  gibColumn('GiB', 'used:bytes'),
  gibColumn('OF', 'quota:bytes'),
  column('NAME', 'name'),
];

/** The commands of administrators about users. */
export function addUserCommands(program: Command, io: CliIo): void {
  const user = program.command('user').description('users and their keys (administrators)');
  const create = addUserOptions(
    user.command('create').description('make a user; the key is shown this once'),
  );
  create
    .option('--admin', 'an administrator')
    .addHelpText('after', '\nExamples:\n  drivebay user create --name ci --quota-drives 100 --quota-bytes 2T')
    .action((flags: UserFlags) =>
      withSession(io, flags, async (session) => {
        print(session, await session.client.postInfo('/admin/users/create', userFields(flags)));
      }),
    );
  addCommonOptions(user.command('list').description('list the users'))
    .addHelpText('after', '\nExamples:\n  drivebay user list --json')
    .action((flags: CommonFlags) => withSession(io, flags, list));
  addCommonOptions(user.command('info').description('show a user'))
    .argument('<user>', 'UUID, name, or the start of the UUID')
    .addHelpText('after', '\nExamples:\n  drivebay user info ci')
    .action((name: string, flags: CommonFlags) => withSession(io, flags, (session) => show(session, name)));
  addSetCommand(user, io);
  addRotateCommand(user, io);
}

function addSetCommand(user: Command, io: CliIo): void {
  addUserOptions(user.command('set').description('change a user; only what is given changes'))
    .argument('<user>', 'UUID, name, or the start of the UUID')
    .option('--admin', 'make an administrator')
    .option('--no-admin', 'make no administrator any more')
    .option('--disable', 'refuse the credentials from now on')
    .option('--enable', 'accept the credentials again')
    .addHelpText(
      'after',
      '\nExamples:\n  drivebay user set ci --quota-bytes none\n  drivebay user set ci --disable',
    )
    .action((name: string, flags: UserFlags) =>
      withSession(io, flags, async (session) => {
        const fields = userFields(flags);
        if (Object.keys(fields).length === 0)
          throw usageError('nothing to change was given; see drivebay user set --help');
        const { id } = await resolveName(name, allUsers(session));
        print(session, await session.client.postInfo(`/admin/users/${id}/set`, fields));
      }),
    );
}

function addRotateCommand(user: Command, io: CliIo): void {
  addCommonOptions(
    user.command('rotate-key').description('give a user a new key; the old one is dead at once'),
  )
    .argument('<user>', 'UUID, name, or the start of the UUID')
    .addHelpText('after', '\nExamples:\n  drivebay user rotate-key ci')
    .action((name: string, flags: CommonFlags) =>
      withSession(io, flags, async (session) => {
        const { id } = await resolveName(name, allUsers(session));
        print(session, await session.client.postInfo(`/admin/users/${id}/key/rotate`));
      }),
    );
}

function addUserOptions(command: Command): Command {
  return addCommonOptions(command)
    .option('--name <name>', 'a name for people')
    .option('--quota-drives <count>', "the most drives, or 'none'", countOrNone)
    .option('--quota-bytes <size>', "the most bytes of all drives together, or 'none'", sizeOrNone);
}

function userFields(flags: UserFlags): Record<string, string> {
  if (flags.disable === true && flags.enable === true)
    throw usageError('--disable and --enable exclude each other');
  const fields: Record<string, string> = {};
  if (flags.name !== undefined) fields['name'] = flags.name;
  if (flags.admin !== undefined) fields['admin'] = String(flags.admin);
  if (flags.disable === true) fields['disabled'] = 'true';
  if (flags.enable === true) fields['disabled'] = 'false';
  if (flags.quotaDrives !== undefined) fields['quota:drives'] = flags.quotaDrives;
  if (flags.quotaBytes !== undefined) fields['quota:bytes'] = flags.quotaBytes;
  return fields;
}

const MOST_DRIVES = 999_999_999;

/** An empty value removes a quota. */
function countOrNone(text: string): string {
  if (text === 'none') return '';
  const isNumber = /^[0-9]+$/.test(text);
  if (isNumber && Number(text) <= MOST_DRIVES) return text;
  if (isNumber) throw new InvalidArgumentError(`It is too large: the largest is ${MOST_DRIVES}.`);
  throw new InvalidArgumentError("It must be a whole number or 'none'.");
}

function sizeOrNone(text: string): string {
  return text === 'none' ? '' : String(sizeArgument(text));
}

async function list(session: Session): Promise<void> {
  const infos = await session.client.getInfos('/admin/users/info');
  if (session.isJson) printJson(session.io.stdout, infos);
  else printTable(session.io.stdout, COLUMNS, infos);
}

async function show(session: Session, name: string): Promise<void> {
  const { id, info } = await resolveName(name, allUsers(session));
  print(session, info ?? (await session.client.getInfo(`/admin/users/${id}/info`)));
}

/** For people also the line that makes a new key usable at once. */
function print(session: Session, info: Info): void {
  const { stdout } = session.io;
  if (session.isJson) {
    printJson(stdout, info);
    return;
  }
  printInfos(stdout, [info]);
  const key = textOf(info, 'key');
  if (key !== null) stdout.write(`\nDRIVEBAY_AUTH=${textOf(info, 'user')}:${key}\n`);
}
