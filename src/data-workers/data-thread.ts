import { parentPort, workerData } from 'node:worker_threads';
import { DriveError } from '../core/errors.ts';
import { createDataOperations } from './data-operations.ts';
import type { DataAnswer, DataCall, DataFailure, DataThreadSetup } from './protocol.ts';

// A data thread: does one operation after another for one pool, waiting for its disk and its ciphers, so that the
// main thread never does. The next call is taken up when the last one has settled; calls wait in the port's queue.

const port = parentPort;
if (port === null) throw new Error('This file runs in a worker thread.');

const operations = await createDataOperations(workerData as DataThreadSetup);
const queue: DataCall[] = [];
let isBusy = false;

port.on('message', (call: DataCall) => {
  queue.push(call);
  if (!isBusy) void work();
});

async function work(): Promise<void> {
  isBusy = true;
  for (let call = queue.shift(); call !== undefined; call = queue.shift()) {
    port?.postMessage(await answer(call));
  }
  isBusy = false;
}

async function answer(call: DataCall): Promise<DataAnswer> {
  try {
    return { callId: call.callId, result: (await operations(call.request)) ?? null };
  } catch (error) {
    return { callId: call.callId, failure: describe(error) };
  }
}

function describe(error: unknown): DataFailure {
  if (!(error instanceof Error)) return { code: null, errno: null, message: String(error), stack: null };
  const errno = 'code' in error && typeof error.code === 'string' ? error.code : null;
  return error instanceof DriveError
    ? { code: error.code, errno: null, message: error.message, stack: null }
    : { code: null, errno, message: error.message, stack: error.stack ?? null };
}
