import { encryptAhead } from '../blockdev/layers/in-place-write.ts';
import { createVolume, fillHoles, openVolume, resizeVolume } from '../blockdev/luks-volume.ts';
import { openPool } from '../blockdev/open-pool.ts';
import type { OpenPool } from '../blockdev/open-pool.ts';
import { refuseEarlierLife } from '../blockdev/pool-lives.ts';
import type { Volume } from '../blockdev/volume.ts';
import type { StoragePool } from '../blockdev/storage-pool.ts';
import { MIB } from '../core/sizes.ts';
import { createXtsEngine, XTS_PIECE_BYTES } from '../crypto/xts.ts';
import type { XtsEngine } from '../crypto/xts.ts';
import { addressOf } from '../runtime/memory-address.ts';
import { viewOf } from './arena.ts';
import type { Segment } from './arena.ts';
import { mapBlocks } from './block-map.ts';
import { BodyReceipts } from './body-receipts.ts';
import { writeBody } from './body-write.ts';
import { describeFailure } from './data-failure.ts';
import { performDirect } from './direct-operations.ts';
import type {
  DataThreadSetup,
  FlushWish,
  OperationRequest,
  Operations,
  ReceivedPart,
  SentRange,
  WriteTask,
} from './protocol.ts';
import { rangeSource } from './range-source.ts';
import { gmacOf } from '../runtime/gmac.ts';
import { loadPairHashing } from '../runtime/sha256-pair.ts';
import type { PairHashing } from '../runtime/sha256-pair.ts';
import { OpenVolumes } from './open-volumes.ts';
import { sendTurn } from './send-turn.ts';
import type { SendTurn } from './send-turn.ts';
import { ServedConnections } from './served-connections.ts';
import { sha256OfEach } from './sha256.ts';
import type { SocketLoop } from './socket-loop.ts';
import { receiveBodyPart } from './body-part.ts';
import { sendFrom } from './socket-transfer.ts';
import type { SpanSource } from './socket-transfer.ts';
import { copyIn, copyOut, listStretches, makeStored, syncStored } from './stored-copy.ts';
import type { CheckLife } from './stored-copy.ts';
import { StoredDevices } from './stored-devices.ts';
import { TrackedChanges } from './tracked-changes.ts';
import type { VolumeSpec } from './volume.ts';

/** From here on a write is flushed by the thread that does it. */
const FLUSH_AT_ONCE_BYTES = MIB;

/** What a data thread holds between operations. */
interface Thread {
  readonly setup: DataThreadSetup;
  readonly loop: SocketLoop;
  /** The address in the process of the first byte of the memory. */
  readonly baseAddress: number;
  readonly pool: StoragePool;
  readonly checkMark: OpenPool['checkMark'];
  readonly engine: XtsEngine;
  readonly hashing: PairHashing;
  readonly volumes: OpenVolumes<Volume>;
  readonly connections: ServedConnections;
  readonly changes: TrackedChanges;
  readonly stored: StoredDevices;
  readonly receipts: BodyReceipts;
  readonly inTurn: InTurn;
}

/** Has work done while the thread does no other operation, but for those that wait for clients. */
type InTurn = <Result>(work: () => Promise<Result>) => Promise<Result>;

/** Makes the function that does every operation of a data thread. */
export async function createDataOperations(
  setup: DataThreadSetup,
  { loop, wish, inTurn }: { loop: SocketLoop; wish: (wish: FlushWish) => void; inTurn: InTurn },
): Promise<(request: OperationRequest) => Promise<unknown>> {
  const baseAddress = addressOf(setup.memory.buffer);
  const { pool, checkMark, isRemote } = openPool(setup.pool);
  const { memory, scratch } = setup;
  const engine = createXtsEngine({ memory, scratch });
  const changes = new TrackedChanges();
  const stored = new StoredDevices(pool);
  const connections = new ServedConnections({
    setup,
    baseAddress,
    loop,
    pool,
    isRemote,
    engine,
    changes,
    wish,
  });
  const hashing = loadPairHashing();
  const volumes = new OpenVolumes<Volume>();
  const thread: Thread = {
    setup,
    loop,
    baseAddress,
    pool,
    checkMark,
    engine,
    hashing,
    volumes,
    connections,
    changes,
    stored,
    receipts: new BodyReceipts(),
    inTurn,
  };
  return async (request) => await perform(thread, request);
}

async function perform(thread: Thread, request: OperationRequest): Promise<unknown> {
  const { pool, setup } = thread;
  switch (request.op) {
    case 'check':
      return await checkPool(thread, request.mayMark);
    case 'create':
      return await create(pool, request);
    case 'remove':
      if (request.life !== null) refuseEarlierLife(setup.pool, request.life);
      return await pool.remove(request.volumeName);
    case 'fence':
      return await pool.fence?.(request.nodeId);
    case 'offer':
    case 'withdraw':
    case 'keepOut':
    case 'reclaim':
      return await performDirect(pool, request);
    case 'list':
      return await pool.list();
    case 'open':
      return await open(thread, request.spec);
    case 'close':
      return await thread.volumes.close(request.volumeName);
    case 'attach':
      return await thread.connections.attach(request);
    case 'detach':
      return await thread.connections.detach(request.connectionId);
    case 'release':
      return thread.connections.release(request.connectionId);
    case 'flushed':
      return thread.connections.flushed(request);
    case 'track':
      return thread.changes.track(request.volumeName, request.changes);
    case 'closeStored':
      return await thread.stored.close(request.volumeName);
    case 'listStretches':
    case 'makeStored':
    case 'copyOut':
    case 'copyIn':
    case 'syncStored':
      return await performStored(thread, request);
    case 'receive':
      return await thread.receipts.keep(request, receive(thread, request));
    case 'writeReceived':
      return await writeReceived(thread, request);
    case 'sha256':
      return sha256OfEach(
        request.bodies.map((segments) => segments.map((segment) => viewOf(setup.memory, segment))),
        thread.hashing,
      );
    case 'gmac':
      return gmacOf(request.segments.map((segment) => viewOf(setup.memory, segment)));
    default:
      return await thread.volumes.use(request.volumeName, (device) =>
        performOnDevice(thread, device, request),
      );
  }
}

async function receive(
  { loop, baseAddress, setup, volumes }: Thread,
  { encryption, ...request }: Extract<OperationRequest, { op: 'receive' }>,
): Promise<ReceivedPart> {
  const part = { ...request, loop, memory: setup.memory, baseAddress, pieceBytes: XTS_PIECE_BYTES };
  if (encryption === null) return await receiveBodyPart(part);
  const { volumeName, offsetBytes } = encryption;
  return await volumes.use(volumeName, async (volume) => {
    const encrypt = (at: number, part: Uint8Array): void => encryptAhead(volume, offsetBytes + at, part);
    return await receiveBodyPart({ ...part, encrypt });
  });
}

async function writeReceived(
  thread: Thread,
  { receiptId, volumeName, life, task }: Extract<OperationRequest, { op: 'writeReceived' }>,
): Promise<Operations['writeReceived']['result']> {
  const received = thread.receipts.whole(receiptId);
  return await thread.volumes.use(volumeName, async (device) => {
    const whole = await received;
    if (whole === null) return null;
    const { encryptedBytes } = whole;
    return await thread.inTurn(async () => {
      refuseEarlierLife(thread.setup.pool, life);
      return await write(thread, device, { ...task, encryptedBytes });
    });
  });
}

/** The operations on what is stored, for which the volume need not be open. */
type StoredRequest = Extract<
  OperationRequest,
  { op: 'listStretches' | 'makeStored' | 'copyOut' | 'copyIn' | 'syncStored' }
>;

async function performStored(
  { stored, setup: { memory, pool } }: Thread,
  request: StoredRequest,
): Promise<unknown> {
  switch (request.op) {
    case 'listStretches':
      return await listStretches(stored, request);
    case 'makeStored':
      return await makeStored(stored, { ...request, checkLife: checkOf(pool, request) });
    case 'copyOut':
      return await copyOut(stored, { ...request, into: viewOf(memory, request.into) });
    case 'copyIn': {
      const compare = request.through === null ? null : viewOf(memory, request.through);
      const from = viewOf(memory, request.from);
      return await copyIn(stored, { ...request, from, compare, checkLife: checkOf(pool, request) });
    }
    case 'syncStored':
      return await syncStored(stored, { ...request, checkLife: checkOf(pool, request) });
  }
}

function checkOf(pool: DataThreadSetup['pool'], { life }: { life: number }): CheckLife {
  return () => refuseEarlierLife(pool, life);
}

/** The operations that need the volume to be open. */
type DeviceRequest = Extract<
  OperationRequest,
  { op: 'read' | 'write' | 'send' | 'flush' | 'resize' | 'map' | 'fillHoles' }
>;

async function performOnDevice(thread: Thread, device: Volume, request: DeviceRequest): Promise<unknown> {
  const { memory } = thread.setup;
  switch (request.op) {
    case 'read':
      return await device.read(request.offsetBytes, viewOf(memory, request.into));
    case 'write':
      refuseEarlierLife(thread.setup.pool, request.life);
      return await write(thread, device, request.task);
    case 'send':
      return await send(thread, device, request);
    case 'flush':
      return await device.flush();
    case 'resize':
      refuseEarlierLife(thread.setup.pool, request.life);
      return await resizeVolume(device, request.sizeBytes);
    case 'map':
      return await mapBlocks(device, request);
    case 'fillHoles':
      refuseEarlierLife(thread.setup.pool, request.life);
      return await fillHoles(device, request.range);
  }
}

/** A large body is made durable at once: what it would save to share the flush with others is less than the wait. */
async function write(
  { setup }: Thread,
  device: Volume,
  task: WriteTask,
): Promise<{ writtenBytes: number; isDurable: boolean }> {
  const body = task.segments.map((segment) => viewOf(setup.memory, segment));
  const writtenBytes = await writeBody(device, { task, body });
  const isDurable = writtenBytes >= FLUSH_AT_ONCE_BYTES;
  if (isDurable) await device.flush();
  return { writtenBytes, isDurable };
}

async function send(
  thread: Thread,
  device: Volume,
  request: Extract<OperationRequest, { op: 'send' }>,
): Promise<SentRange> {
  const view = viewOf(thread.setup.memory, request.through);
  const source = rangeSource(device, { ...request, view, address: addressIn(thread, request.through) });
  const turn = sendTurn(thread.setup.memory, request.turn);
  const { error, ...sent } = await sendFrom(thread.loop, request.descriptor, inTurn(source, turn));
  return { ...sent, failure: error === null ? null : describeFailure(error) };
}

/** The first span is there before the turn is taken, so that what takes long is over by then. */
function inTurn(source: SpanSource, turn: SendTurn): SpanSource {
  let hasTurn = false;
  return () => {
    const span = source();
    hasTurn ||= turn.take();
    return hasTurn ? span : null;
  };
}

function addressIn(thread: Thread, segment: Segment): number {
  return thread.baseAddress + segment.address;
}

async function checkPool(thread: Thread, mayMark: boolean): Promise<Operations['check']['result']> {
  const { pool, setup } = thread;
  const mark = thread.checkMark({
    poolName: setup.pool.name,
    installationId: setup.installationId,
    mayCreate: mayMark,
  });
  if (!mark.ok) return { reason: mark.reason, room: null, isReopened: false };
  return { reason: null, room: await pool.room(), isReopened: mark.isReopened === true };
}

async function create(
  pool: StoragePool,
  { spec, passphrase }: { spec: VolumeSpec; passphrase: string | null },
): Promise<void> {
  const encryption =
    spec.volumeKey === null || passphrase === null ? null : { volumeKey: spec.volumeKey, passphrase };
  await createVolume(pool, { volumeName: spec.volumeName, sizeBytes: spec.sizeBytes, encryption });
}

async function open(thread: Thread, spec: VolumeSpec): Promise<void> {
  const { pool, engine } = thread;
  const changes = thread.changes.trackerOf(spec.volumeName);
  const device = await openVolume(pool, spec, { engine, access: 'read-write', changes });
  await thread.volumes.put(spec.volumeName, device);
}
