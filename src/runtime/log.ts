import type { DestinationStream, Logger } from 'pino';
import { destination, pino, stdSerializers } from 'pino';

/** Names of fields that hold secrets. They are never logged, whoever passes them and two objects deep. */
const SECRET_FIELDS = [
  'adminKey',
  'authorization',
  'cookie',
  'key',
  'keyHash',
  'masterKey',
  'passphrase',
  'password',
  'secret',
  'volumeKey',
];

/** How an error's line may carry the facts of the error and of its cause, which may hold such fields too. */
const PREFIXES = ['', '*.', '*.*.', '*.*.*.'];

/**
 * One line of JSON for each message, with the time in ISO 8601 and secrets left out.
 *
 * @param stream where the lines go; standard output when not given
 */
export function createLog(options: { level: string; stream?: DestinationStream | undefined }): Logger {
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: stdSerializers.errWithCause, error: stdSerializers.errWithCause },
      redact: {
        paths: PREFIXES.flatMap((prefix) => SECRET_FIELDS.map((field) => prefix + field)),
        censor: '[secret]',
      },
    },
    options.stream ?? destination({ fd: 1, sync: false }),
  );
}
