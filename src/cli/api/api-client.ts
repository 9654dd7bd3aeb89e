import { CliError } from '../cli-error.ts';
import { ConnectionError } from './transport.ts';
import type { Transport, TransportRequest, TransportResponse } from './transport.ts';

/** One object as the server gives it: keys and values, sizes as numbers, everything else as text. */
export type Info = Readonly<Record<string, unknown>>;

/** What a command sends: keys and values as text, which the API takes in every place. */
export type Fields = Readonly<Record<string, string>>;

/** Speaks JSON over a transport and turns refusals into `CliError`s. */
export class ApiClient {
  readonly transport: Transport;
  readonly #credentialsHint: string;

  constructor(transport: Transport, credentialsHint: string) {
    this.transport = transport;
    this.#credentialsHint = credentialsHint;
  }

  async get(path: string, options: Partial<TransportRequest> = {}): Promise<unknown> {
    return parseBody(await this.exchange({ method: 'GET', path, isRepeatable: true, ...options }));
  }

  /** `null` for an answer without a body. */
  async post(path: string, fields: Fields = {}, options: Partial<TransportRequest> = {}): Promise<unknown> {
    const body = Object.keys(fields).length === 0 ? '' : JSON.stringify(fields);
    const headers = { 'content-type': 'application/json', ...options.headers };
    return parseBody(
      await this.exchange({ method: 'POST', path, body, isRepeatable: false, ...options, headers }),
    );
  }

  async getInfo(path: string): Promise<Info> {
    return asInfo(await this.get(path));
  }

  async getInfos(path: string, options?: Partial<TransportRequest>): Promise<Info[]> {
    const answer = await this.get(path, options);
    return Array.isArray(answer) ? answer.map(asInfo) : answer === null ? [] : [asInfo(answer)];
  }

  async postInfo(path: string, fields?: Fields, options?: Partial<TransportRequest>): Promise<Info> {
    return asInfo(await this.post(path, fields, options));
  }

  /** The answer, or the `CliError` that says why there is none. */
  async exchange(request: TransportRequest, target?: Buffer): Promise<TransportResponse> {
    const { transport } = this;
    const sending = target === undefined ? transport.send(request) : transport.receive(request, target);
    const answer = await sending.catch((error: unknown) => {
      throw error instanceof ConnectionError ? unreachable(error) : error;
    });
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw refusal(answer, this.#credentialsHint);
  }

  close(): void {
    this.transport.close();
  }
}

export function asInfo(value: unknown): Info {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Info;
  throw new CliError(
    'failed',
    'the server answered something that is no object: is this the URL of a Drive API?',
  );
}

/** The text of a value, null when it is absent. */
export function textOf(info: Info, key: string): string | null {
  const value = info[key];
  return value === undefined || value === null ? null : String(value);
}

/** A whole number of bytes, whether it came as a number or as text. */
export function bytesOf(info: Info, key: string): number {
  const value = Number(info[key]);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new CliError('failed', `the server's answer has no usable '${key}'`);
}

function parseBody(answer: TransportResponse): unknown {
  if (answer.body.length === 0) return null;
  try {
    return JSON.parse(answer.body.toString('utf8')) as unknown;
  } catch (error) {
    throw new CliError('failed', 'the server did not answer in JSON: is this the URL of a Drive API?', error);
  }
}

function unreachable(error: ConnectionError): CliError {
  const hint =
    error.code === 'ECONNREFUSED'
      ? '; is the server running, and is the URL right (--url, DRIVEBAY_URL)?'
      : '';
  return new CliError('unreachable', error.message + hint, error);
}

function refusal(answer: TransportResponse, credentialsHint: string): CliError {
  const code = answer.headers['x-elastic-error']?.split(' ')[0] ?? `status-${answer.status}`;
  const sentence = refusalSentence(answer);
  // The server's `usage` is a refusal of this one operation; exit code 2 is kept for the command line itself.
  const ownCode = code === 'usage' ? 'refused' : code;
  return new CliError(ownCode, answer.status === 401 ? `${sentence}; ${credentialsHint}` : sentence);
}

function refusalSentence(answer: TransportResponse): string {
  const text = answer.body.toString('utf8', 0, 2000).trim();
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === 'string') return withoutFullStop(message);
  } catch {
    // Not JSON: the text itself is the sentence.
  }
  const firstLine = text.startsWith('<') ? '' : (text.split('\n')[0] ?? '');
  return firstLine === '' ? `the server answered with status ${answer.status}` : withoutFullStop(firstLine);
}

function withoutFullStop(sentence: string): string {
  return sentence.replaceAll('\n', ' ').replace(/\.$/, '');
}
