import { connectNbd, NbdGone } from '../helpers/nbd-client.ts';
import type { NbdClient } from '../helpers/nbd-client.ts';
import type { DriveClient } from '../helpers/drive-client.ts';
import { BLOCK_BYTES } from './numbered-blocks.ts';
import type { WriteBlock } from './numbered-blocks.ts';

/** What connects anew whenever its connection is gone, as a guest does. */
export interface NbdTarget extends Disposable {
  readonly write: WriteBlock;
}

/** Writes by NBD. Answers `gone` when the connection went before the answer, `refused` when there is none to be had. */
export function nbdTarget(uri: string): NbdTarget {
  let connecting: Promise<NbdClient> | null = null;
  const forget = (client: Promise<NbdClient>): void => {
    if (connecting === client) connecting = null;
  };
  return {
    async write(block, data) {
      const current = (connecting ??= connectNbd(uri));
      const client = await current.catch(() => null);
      if (client === null) forget(current);
      if (client === null) return 'refused';
      try {
        await client.write(block * BLOCK_BYTES, data);
        return 'ok';
      } catch (error) {
        if (!(error instanceof NbdGone)) return `error: ${String(error)}`;
        forget(current);
        return 'gone';
      }
    },
    [Symbol.dispose]: () =>
      void connecting?.then(
        (client) => client[Symbol.dispose](),
        () => undefined,
      ),
  };
}

/** Writes by HTTP. Answers the status when it is no 204, and `gone` when there was none. */
export function httpTarget(client: Pick<DriveClient, 'write'>, drive: string): WriteBlock {
  return async (block, data) => {
    const answer = await client.write(`${drive}/${block * BLOCK_BYTES}`, data).catch(() => null);
    if (answer === null) return 'gone';
    if (answer.status === 204) return 'ok';
    const isRepeatable = answer.headers['retry-after'] !== undefined;
    return `${answer.status}${isRepeatable ? ' retry' : ''}`;
  };
}
