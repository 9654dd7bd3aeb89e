import { createInterface } from 'node:readline';
import { httpTarget, nbdTarget } from '../fault/block-targets.ts';
import { writeBlocks } from '../fault/numbered-blocks.ts';
import { createDriveClient } from '../helpers/drive-client.ts';
import type { RemoteWriterOptions } from './remote-writer.ts';

// A writer in a process of its own, for one that is in a network of its own; see remote-writer.ts. It says line by line what
// it does, repeats each line that it is given, so that everybody knows how far its lines have been read, and ends with its input.

const { name, blocks, lanes, target } = JSON.parse(process.argv[2] ?? '') as RemoteWriterOptions;
const say = (line: string): void => void process.stdout.write(`${line}\n`);
let isStopped = false;
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => say(`mark ${line}`));
lines.on('close', () => {
  isStopped = true;
});

const write =
  target.kind === 'nbd' ? nbdTarget(target.uri).write : httpTarget(createDriveClient(target), target.drive);
await writeBlocks({
  name,
  blocks,
  lanes,
  write,
  log: {
    sent: (block, number) => say(`sent ${block} ${number}`),
    acknowledged: (block, number) => say(`acknowledged ${block} ${number}`),
    refused: (what) => say(`refused ${what}`),
  },
  isStopped: () => isStopped,
});
process.exit(0);
