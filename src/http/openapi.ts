import { API_COMMANDS } from './api-commands.ts';
import type { Command, CommandOutput } from './command.ts';
import { inputSchema } from './command-input.ts';
import { NO_INPUT } from './drive-commands.ts';
import { ERROR_TABLE } from './error-table.ts';
import { healthCommands } from './health-commands.ts';
import { Registry } from 'prom-client';

type Json = Readonly<Record<string, unknown>>;

const UUID: Json = { type: 'string', format: 'uuid' };
const SIZE_WORD: Json = { type: 'string', pattern: '^[0-9]+[kKmMgGtT]?$' };
const OBJECT: Json = {
  type: 'object',
  properties: { size: { type: 'integer' } },
  additionalProperties: { type: 'string' },
};
const PATH_PARAMETERS: Readonly<Record<string, Json>> = {
  drive: UUID,
  source: UUID,
  user: UUID,
  offset: SIZE_WORD,
  size: SIZE_WORD,
};

/** The answer of a successful command by its kind: its form as JSON; null when it is not told in JSON. */
const OUTPUT_SCHEMAS: Readonly<Record<CommandOutput, Json | null>> = {
  nothing: null,
  info: OBJECT,
  infos: { type: 'array', items: OBJECT },
  values: { type: 'array', items: OBJECT },
  blocks: { type: 'array', items: OBJECT },
  bytes: null,
  document: null,
};

/** openapi.json as a text: made from the same table as the routes, so that it cannot lie. */
export function renderOpenApi(): string {
  const commands = [...API_COMMANDS, ...healthCommands(new Registry(), () => false)];
  const document = {
    openapi: '3.1.0',
    info: {
      title: 'Drivebay',
      version: '1',
      description:
        'The ElasticStack Drive API with additions. POST is taken wherever GET is. ' +
        'Bodies and answers are KEY VALUE text unless JSON is named; see README.md.',
    },
    security: [{ basic: [] }],
    components: {
      securitySchemes: { basic: { type: 'http', scheme: 'basic' } },
      responses: Object.fromEntries(Object.entries(ERROR_TABLE).map(errorResponse)),
    },
    paths: Object.fromEntries(commands.map((command) => [template(command.path), operations(command)])),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

function template(path: string): string {
  return path.replace(/:([a-z]+)/g, '{$1}');
}

function operations(command: Command): Json {
  const operation = {
    summary: command.summary,
    ...(command.access === 'anyone' ? { security: [] } : {}),
    parameters: [...pathParameters(command), ...headerParameters(command), ...queryParameters(command)],
    ...requestBody(command),
    responses: responses(command),
  };
  return command.method === 'GET' ? { get: operation, post: operation } : { post: operation };
}

function pathParameters({ path }: Command): Json[] {
  return [...path.matchAll(/:([a-z]+)/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: PATH_PARAMETERS[name] ?? { type: 'string' },
  }));
}

function queryParameters({ parameters }: Command): Json[] {
  return parameters.map(({ name, description }) => ({
    name,
    in: 'query',
    description,
    schema: { type: 'string' },
  }));
}

function headerParameters({ path, input, output }: Command): Json[] {
  const header = (name: string, description: string): Json => ({
    name,
    in: 'header',
    description,
    schema: { type: 'string' },
  });
  if (path === '/drives/create') {
    return [header('Idempotency-Key', 'The same key with the same body gives the same drive, for 24 hours.')];
  }
  if (output === 'bytes')
    return [
      header(
        'Want-Content-Digest',
        '`sha-256=1` for the SHA-256 of the bytes, `aes-128-gmac=1` for their GMAC under a key and a nonce of zeros.',
      ),
    ];
  if (input === null) {
    return [
      header(
        'Content-Digest',
        'The SHA-256 or the GMAC, or both, of the body as sent: `sha-256=:BASE64:`, `aes-128-gmac=:BASE64:`. Checked before anything changes.',
      ),
      header('Content-Encoding', '`gzip`, or absent for raw bytes.'),
    ];
  }
  return [];
}

function requestBody({ input }: Command): Json {
  if (input === NO_INPUT) return {};
  const content =
    input === null
      ? { 'application/octet-stream': {} }
      : { 'text/plain': { schema: { type: 'string' } }, 'application/json': { schema: inputSchema(input) } };
  return { requestBody: { required: input === null || input.required.length > 0, content } };
}

function responses({ output, access }: Command): Json {
  const errors = Object.entries(ERROR_TABLE).filter(([code]) => access !== 'anyone' || code === 'system');
  const failed = errors.map(([code, { status }]) => [status, { $ref: `#/components/responses/${code}` }]);
  const schema = OUTPUT_SCHEMAS[output];
  const text = { 'text/plain': { schema: { type: 'string' } } };
  const json = schema === null ? {} : { 'application/json': { schema } };
  const content = output === 'bytes' ? { 'application/octet-stream': {} } : { ...text, ...json };
  const done =
    output === 'nothing'
      ? { 204: { description: 'Done.' } }
      : { 200: { description: 'The answer.', content } };
  return { ...done, ...Object.fromEntries(failed) };
}

function errorResponse([code, { when, type }]: [string, (typeof ERROR_TABLE)['usage']]): [string, Json] {
  const schema = {
    type: 'object',
    properties: { error: { const: type }, message: { type: 'string' } },
    required: ['error', 'message'],
  };
  const headers = { 'X-Elastic-Error': { schema: { const: type } } };
  return [code, { description: when, headers, content: { 'application/json': { schema } } }];
}
