import type { DestinationStream, Logger } from 'pino';
import { destination, pino, stdSerializers } from 'pino';
import { withoutSecrets } from './log-secrets.ts';

/**
 * One line of JSON for each message, with the time in ISO 8601 and secrets left out. (pino's own redaction takes fifty times
 * as long as the line itself, for each request.)
 *
 * @param stream where the lines go; standard output when not given
 */
export function createLog(options: { level: string; stream?: DestinationStream | undefined }): Logger {
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: {
        level: (label) => ({ level: label }),
        log: fieldsWithoutSecrets,
      },
      serializers: { err: errorWithoutSecrets, error: errorWithoutSecrets },
    },
    options.stream ?? destination({ fd: 1, sync: false }),
  );
}

/** Errors under these names are made objects by their serializers, which come later. */
function fieldsWithoutSecrets(fields: Record<string, unknown>): Record<string, unknown> {
  if (!('err' in fields) && !('error' in fields)) return cleaned(fields);
  const { err, error, ...others } = fields;
  return { ...cleaned(others), err, error };
}

function cleaned(fields: Record<string, unknown>): Record<string, unknown> {
  return withoutSecrets(fields) as Record<string, unknown>;
}

/** An error and its causes, with the facts that they carry. */
function errorWithoutSecrets(error: Error): unknown {
  return withoutSecrets(stdSerializers.errWithCause(error));
}
