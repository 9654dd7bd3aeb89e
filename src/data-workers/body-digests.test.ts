import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Segment } from './arena.ts';
import { BodyDigests } from './body-digests.ts';

const LARGE = 1024 * 1024;

/** A body whose hash is its address in this test. */
function body(address: number, lengthBytes = LARGE): Segment[] {
  return [{ address, lengthBytes }];
}

function createDigests(failure: Error | null = null): { digests: BodyDigests; calls: number[][] } {
  const calls: number[][] = [];
  const digests = new BodyDigests(async (bodies) => {
    const addresses = bodies.map(([segment]) => segment?.address ?? 0);
    calls.push(addresses);
    await delay(1);
    if (failure !== null) throw failure;
    return addresses.map((address) => Uint8Array.of(address));
  });
  return { digests, calls };
}

test('a body waits for another that is on its way, and each gets its own hash', async () => {
  const { digests, calls } = createDigests();
  const end = digests.announce(LARGE);
  const first = digests.sha256(body(1));
  end();
  const second = digests.sha256(body(2));
  expect(await Promise.all([first, second])).toEqual([Uint8Array.of(1), Uint8Array.of(2)]);
  expect(calls).toEqual([[1, 2]]);
});

test('a body is hashed at once while no other is on its way', async () => {
  const { digests, calls } = createDigests();
  const end = digests.announce(LARGE);
  end();
  end();
  const hashing = digests.sha256(body(1));
  expect(calls).toEqual([[1]]);
  expect(await hashing).toEqual(Uint8Array.of(1));
});

test('a body that waits in vain is hashed alone', async () => {
  const { digests, calls } = createDigests();
  digests.announce(LARGE);
  expect(await digests.sha256(body(1))).toEqual(Uint8Array.of(1));
  expect(await digests.sha256(body(2))).toEqual(Uint8Array.of(2));
  expect(calls).toEqual([[1], [2]]);
});

test('a failure reaches both bodies of a pair', async () => {
  const { digests } = createDigests(new Error('The thread is gone.'));
  digests.announce(LARGE);
  const hashes = await Promise.allSettled([digests.sha256(body(1)), digests.sha256(body(2))]);
  expect(hashes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
});

test('a small body neither waits nor is waited for', async () => {
  const { digests, calls } = createDigests();
  digests.announce(1000);
  const first = digests.sha256(body(1));
  expect(calls).toEqual([[1]]);
  digests.announce(LARGE);
  const second = digests.sha256(body(2, 1000));
  expect(calls).toEqual([[1], [2]]);
  expect(await Promise.all([first, second])).toEqual([Uint8Array.of(1), Uint8Array.of(2)]);
});
