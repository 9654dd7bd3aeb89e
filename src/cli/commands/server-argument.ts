import { InvalidArgumentError } from 'commander';
import { isUuid } from '../../core/uuid.ts';

/** Reads a server's UUID on the command line. */
export function serverArgument(text: string): string {
  const serverId = text.toLowerCase();
  if (isUuid(serverId)) return serverId;
  throw new InvalidArgumentError('A server is named by a UUID.');
}
