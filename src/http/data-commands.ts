import type { IncomingHttpHeaders } from 'node:http';
import { DriveError } from '../core/errors.ts';
import type { Answer } from './answers.ts';
import type { Command, CommandCall } from './command.ts';
import { pathParam } from './command.ts';
import { parseContentDigest, wantedDigest } from './content-digest.ts';
import { bytesHeaders, directOutput, turnOf } from './direct-output.ts';
import { driveParam, NO_INPUT } from './drive-commands.ts';
import { quoted, usage } from './error-table.ts';
import { MAP_PARAMETERS, parseSizeWord } from './query.ts';

export const DATA_COMMANDS: readonly Command[] = [
  {
    method: 'GET',
    path: '/drives/:drive/read/:offset/:size',
    summary: 'Reads up to 4 MiB of a drive.',
    access: 'user',
    parameters: [],
    input: NO_INPUT,
    output: 'bytes',
    run: readDrive,
  },
  {
    method: 'GET',
    path: '/drives/:drive/map',
    summary: 'For each block of 4 MiB whether it is zero, and its hash when asked for.',
    access: 'user',
    parameters: MAP_PARAMETERS,
    input: NO_INPUT,
    output: 'blocks',
    run: mapDrive,
  },
  writeCommand('/drives/:drive/write', 'Writes the body to the beginning of a drive.'),
  writeCommand('/drives/:drive/write/:offset', 'Writes the body to a drive.'),
];

async function readDrive(call: CommandCall): Promise<Answer> {
  const driveId = driveParam(call);
  const offsetBytes = parseSizeWord('offset', pathParam(call, 'offset'));
  const lengthBytes = parseSizeWord('size', pathParam(call, 'size'));
  if (lengthBytes < 1 || lengthBytes > call.limits.readBytes) {
    throw usage(`The size ${lengthBytes} of a read is not from 1 to ${call.limits.readBytes}.`);
  }
  const wanted = call.exchange.req.headers['want-content-digest'];
  const digest = wantedDigest(Array.isArray(wanted) ? wanted.join(',') : wanted);
  await turnOf(call.exchange);
  const socket = digest === null ? directOutput(call.exchange, bytesHeaders(lengthBytes)) : null;
  const range = { offsetBytes, lengthBytes, digest, socket };
  const read = await call.service.driveData.read(call.actor, driveId, range);
  return { kind: 'bytes', read, sizeBytes: lengthBytes };
}

async function mapDrive(call: CommandCall): Promise<Answer> {
  const { service, actor, query } = call;
  const driveId = driveParam(call);
  const offsetBytes = parseSizeWord('offset', query.get('offset') ?? '0');
  const size = query.get('size');
  const hash = query.get('hash');
  if (hash !== undefined && hash !== 'sha256') throw usage(`hash "${quoted(hash)}" is not sha256.`);
  const lengthBytes =
    size === undefined ? (await driveSize(call, driveId)) - offsetBytes : parseSizeWord('size', size);
  if (lengthBytes < 0) throw usage(`The offset ${offsetBytes} is past the end of the drive.`);
  const request = { offsetBytes, lengthBytes, withHash: hash === 'sha256' };
  return { kind: 'blocks', pages: service.driveData.map(actor, driveId, request) };
}

async function driveSize(call: CommandCall, driveId: string): Promise<number> {
  const info = await call.service.drives.info(call.actor, driveId, 'brief');
  return Number(info['size']);
}

function writeCommand(path: string, summary: string): Command {
  const common = { method: 'POST', access: 'user', parameters: [], input: null, output: 'nothing' } as const;
  return { ...common, path, summary, run: writeDrive };
}

async function writeDrive(call: CommandCall): Promise<Answer> {
  const { headers } = call.exchange.req;
  const driveId = driveParam(call);
  const offsetBytes = parseSizeWord('offset', call.params['offset'] ?? '0');
  const encoding = contentEncoding(headers);
  const digest = headers['content-digest'];
  const given = parseContentDigest(Array.isArray(digest) ? digest.join(',') : digest);
  requireLength(headers);
  const { body } = call.exchange;
  const bodyBytes = body.lengthBytes;
  if (bodyBytes > call.limits.writeBodyBytes) {
    throw new DriveError(
      'too-large',
      `The body of ${bodyBytes} bytes is larger than the ${call.limits.writeBodyBytes} that a write takes.`,
    );
  }
  await call.service.driveData.write(call.actor, driveId, {
    offsetBytes,
    encoding,
    digest: given,
    body,
  });
  return { kind: 'nothing' };
}

function contentEncoding(headers: IncomingHttpHeaders): 'identity' | 'gzip' {
  const encoding = (headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (encoding === 'gzip' || encoding === 'x-gzip') return 'gzip';
  if (encoding === 'identity' || encoding === '') return 'identity';
  throw usage(`The Content-Encoding "${quoted(encoding)}" is not known: a write is raw or gzip.`);
}

function requireLength(headers: IncomingHttpHeaders): void {
  if (headers['transfer-encoding'] !== undefined) {
    throw usage('A write needs Content-Length; Transfer-Encoding is not taken.');
  }
  if (headers['content-length'] === undefined) throw usage('A write needs Content-Length.');
}
