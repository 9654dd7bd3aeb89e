import { beginBody, DIRECT_BODY_BYTES, piecesOf } from './body-receiver.ts';
import type { ReceiveFrom } from './body-receiver.ts';
import type { DataThreadClient } from './data-thread-client.ts';
import type { PieceLender } from './piece-lender.ts';
import type { Pools } from './pools.ts';
import type { Operations } from './protocol.ts';
import type { BegunBody, DirectWrite } from './volumes.ts';

type Written = Operations['write']['result'];

interface DirectWriteParts {
  /** It has the volume open. */
  readonly thread: Pick<DataThreadClient, 'call'>;
  /** Of this write alone. */
  readonly receiptId: number;
  readonly volumeName: string;
  readonly lender: PieceLender;
  readonly memory: WebAssembly.Memory;
  readonly encryption: Operations['receive']['request']['encryption'];
  readonly admit: () => ReturnType<Pools['admitKnown']>;
  readonly withOwnDescriptor: <Result>(
    descriptor: number,
    work: (own: number) => Promise<Result>,
  ) => Promise<Result>;
}

/**
 * Has a thread receive a body and write it, without coming back between the two; see `Volumes.writeAsReceived`. Not for
 * a body that has to be looked at before it is written. The client can be told nothing while its socket is lent, and others wait for
 * the write: so what is not there now is not waited for, be it memory or an answer of the pool.
 */
export async function writeFromSocket(
  write: DirectWrite,
  parts: DirectWriteParts,
): Promise<Written | BegunBody | null> {
  const { body, encoding, digest } = write;
  if (encoding !== 'identity' || digest.sha256 !== null || body.lengthBytes < DIRECT_BODY_BYTES) return null;
  const admitted = parts.admit();
  if (admitted === null) return null;
  let written: Written | null = null;
  try {
    const outcome = await receiveAndWrite(write, parts);
    if (outcome !== null && 'writtenBytes' in outcome) written = outcome;
    return outcome;
  } finally {
    admitted(written?.writtenBytes ?? 0);
  }
}

async function receiveAndWrite(
  { body, life, offsetBytes, encoding, digest, onReceived }: DirectWrite,
  { thread, receiptId, volumeName, lender, memory, encryption, withOwnDescriptor }: DirectWriteParts,
): Promise<Written | BegunBody | null> {
  const loan = lender.borrowNow(piecesOf(body));
  if (loan === null) return null;
  let writing: Promise<Written | null> = Promise.resolve(null);
  // The thread may write it still when something has gone wrong here.
  const release = (): void => void writing.catch(() => null).then(() => loan.release());
  const receiveFrom: ReceiveFrom = async (descriptor, space) =>
    await withOwnDescriptor(descriptor, async (own) => {
      const { segments } = space;
      const receiving = thread.call('receive', { descriptor: own, ...space, encryption, receiptId });
      const task = { offsetBytes, segments, encoding, digest, isPoolLow: false };
      writing = thread.call('writeReceived', { receiptId, volumeName, life, task });
      // What it throws is told below.
      writing.catch(() => undefined);
      return await receiving;
    });
  const begun = await beginBody(body, { ...loan, release }, { memory, receiveFrom });
  if (begun.receivedBytes === body.lengthBytes) onReceived();
  let isOver = true;
  try {
    const written = await writing;
    isOver = written !== null;
    return written ?? begun;
  } finally {
    if (isOver) begun.release();
  }
}
