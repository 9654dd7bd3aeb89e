import { setImmediate } from 'node:timers/promises';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { keepCompiledSoFar } from '../runtime/compile-cache.ts';
import { describeFailure } from './data-failure.ts';
import { createDataOperations } from './data-operations.ts';
import { INTERLEAVED } from './protocol.ts';
import type { DataAnswer, DataCall, DataThreadSetup } from './protocol.ts';
import { createSocketLoop } from './socket-loop.ts';

// A data thread: does one operation after another for one pool, waiting for its disk and its ciphers, so that the
// main thread never does, and serves sockets between them. It has a loop of its own instead of Node's, which would cost
// more for each small request than reading the block does.

const port = parentPort;
if (port === null) throw new Error('This file runs in a worker thread.');

const setup = workerData as DataThreadSetup;
// Over a network nothing comes so soon that looking for it would pay.
const loop = createSocketLoop(setup.signal, setup.pool.kind === 'file');
/** Transfers that have not ended. */
let transfers = 0;
/** What is to be done when no other operation is under way but transfers. */
const laterWork: (() => Promise<void>)[] = [];
const operations = await createDataOperations(setup, {
  loop,
  wish: (wish) => port.postMessage(wish),
  inTurn: (work) => new Promise((resolve, reject) => laterWork.push(() => work().then(resolve, reject))),
});
keepCompiledSoFar();
await serve(port);

async function serve(calls: MessagePort): Promise<never> {
  for (;;) {
    for (let next = receiveMessageOnPort(calls); next !== undefined; next = receiveMessageOnPort(calls)) {
      await take(next.message as DataCall);
    }
    // What has become of a transfer must be told, and gone on with, before this thread waits again.
    if (transfers > 0) await settle();
    loop.wait();
  }
}

async function settle(): Promise<void> {
  await setImmediate();
  for (let work = laterWork.shift(); work !== undefined; work = laterWork.shift()) {
    await work();
    await setImmediate();
  }
}

async function take(call: DataCall): Promise<void> {
  if (!INTERLEAVED.has(call.request.op)) {
    port?.postMessage(await answer(call));
    return;
  }
  transfers += 1;
  void answer(call).then((message) => {
    transfers -= 1;
    port?.postMessage(message);
  });
}

async function answer(call: DataCall): Promise<DataAnswer> {
  try {
    return { callId: call.callId, result: (await operations(call.request)) ?? null };
  } catch (error) {
    return { callId: call.callId, failure: describeFailure(error) };
  }
}
