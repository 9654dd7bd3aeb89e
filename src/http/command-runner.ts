import type { User } from '../core/user.ts';
import { DriveError } from '../core/errors.ts';
import type { Service } from '../service/service.ts';
import { sendAnswer } from './answers.ts';
import type { Answer } from './answers.ts';
import type { CommandFields } from './command-fields.ts';
import { parseCommandFields } from './command-fields.ts';
import { parseInput } from './command-input.ts';
import type { Command } from './command.ts';
import { NO_INPUT } from './drive-commands.ts';
import { commandMissing, quoted, usage } from './error-table.ts';
import type { Exchange } from './exchange.ts';
import { sendFailure } from './failures.ts';
import type { FailureContext } from './failures.ts';
import type { HttpLimits } from './limits.ts';
import { parseQuery } from './query.ts';

/** What commands are run with. */
export interface RunContext extends FailureContext {
  readonly service: Service;
}

const NO_BYTES = new Uint8Array();
/** Commands for anyone never look at who calls. */
const NOBODY: User = {
  userId: '',
  name: null,
  isAdmin: false,
  isDisabled: true,
  quotaDrives: 0,
  quotaBytes: 0,
  createdAtMs: 0,
};

/** Runs a command and answers, whatever happens. */
export async function runCommand(
  exchange: Exchange,
  command: Command,
  params: Readonly<Record<string, string>>,
  context: RunContext,
): Promise<void> {
  try {
    const answer = await callCommand(exchange, command, params, context);
    await sendAnswer(exchange, answer, context.limits);
  } catch (error) {
    await sendFailure(exchange, error, context);
  }
}

async function callCommand(
  exchange: Exchange,
  command: Command,
  params: Readonly<Record<string, string>>,
  { service, limits }: RunContext,
): Promise<Answer> {
  const actor = exchange.user ?? NOBODY;
  if (command.access === 'admin' && !actor.isAdmin) throw commandMissing(exchange.path);
  checkMethod(exchange, command);
  // Probes and load balancers put what they like behind the question mark.
  const query = command.access === 'anyone' ? new Map() : parseQuery(exchange.query, command.parameters);
  const takesBody = command.input !== null && exchange.method === 'POST';
  const bodyBytes = takesBody ? await readControlBody(exchange, limits) : NO_BYTES;
  const fields: CommandFields = parseCommandFields(bodyBytes, exchange.req.headers['content-type']);
  if (command.input === NO_INPUT) parseInput(NO_INPUT, fields);
  return await command.run({ service, limits, actor, params, query, fields, bodyBytes, exchange });
}

function checkMethod(exchange: Exchange, command: Command): void {
  const allowed = command.method === 'GET' ? ['GET', 'HEAD', 'POST'] : ['POST'];
  const { method } = exchange;
  if (allowed.includes(method)) return;
  throw new DriveError(
    'method',
    `${quoted(exchange.path)} is not for ${method}; it is for ${allowed.join(', ')}.`,
    { allow: allowed.join(', ') },
  );
}

async function readControlBody(exchange: Exchange, limits: HttpLimits): Promise<Uint8Array> {
  const { body, req } = exchange;
  if (!body.hasBytes()) return NO_BYTES;
  const encoding = req.headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  if (encoding !== 'identity' && encoding !== '') {
    throw usage(`The Content-Encoding "${quoted(encoding)}" is not taken by this command.`);
  }
  // Node undoes the chunks and hands on what else was done to the body as it is.
  const transfer = req.headers['transfer-encoding']?.trim().toLowerCase() ?? 'chunked';
  if (transfer !== 'chunked') {
    throw usage(`The Transfer-Encoding "${quoted(transfer)}" is not taken; only chunked is.`);
  }
  if (Number(req.headers['content-length'] ?? 0) > limits.controlBodyBytes) throw bodyTooLarge(limits);
  const chunks: Uint8Array[] = [];
  for await (const chunk of body.chunks()) {
    chunks.push(chunk);
    if (body.receivedBytes > limits.controlBodyBytes) throw bodyTooLarge(limits);
  }
  if (body.failure !== null) throw body.failure;
  return Buffer.concat(chunks);
}

function bodyTooLarge(limits: HttpLimits): DriveError {
  return new DriveError(
    'too-large',
    `The body is larger than the ${limits.controlBodyBytes} bytes that this command takes.`,
  );
}
