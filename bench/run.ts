import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from '../scripts/build.ts';
import { ceph } from './ceph.ts';
import { cephClone } from './ceph-clone.ts';
import { cipher } from './cipher.ts';
import { cliTransfer } from './cli-transfer.ts';
import { httpRead } from './http-read.ts';
import { httpWrite } from './http-write.ts';
import { imaging, sparseImaging } from './imaging.ts';
import { listing } from './listing.ts';
import { nbd, nbdEncrypted } from './nbd.ts';
import { nodes } from './nodes.ts';
import { BUILD_DIRECTORY } from './lib/drivebay-server.ts';
import type { Benchmark, Row } from './lib/measure.ts';
import { formatTable } from './lib/table.ts';

// npm run bench [-- NAME...]: runs the benchmarks, prints one table and, when all of them ran, keeps it in RESULTS.md.

const BENCHMARKS: readonly Benchmark[] = [
  cipher,
  httpRead,
  httpWrite,
  nbd,
  nbdEncrypted,
  ceph,
  cephClone,
  imaging,
  sparseImaging,
  listing,
  nodes,
  cliTransfer,
];
const RUNS = 5;
const RESULTS = fileURLToPath(new URL('RESULTS.md', import.meta.url));
const NOTES = fileURLToPath(new URL('NOTES.md', import.meta.url));

const wanted = process.argv.slice(2);
const chosen = BENCHMARKS.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
if (chosen.length === 0) {
  console.error(`bench: there is ${BENCHMARKS.map(({ name }) => name).join(', ')}, not ${wanted.join(', ')}`);
  process.exit(2);
}

await build(BUILD_DIRECTORY);
const rows: Row[] = [];
for (const benchmark of chosen) {
  rows.push(...(await runOne(benchmark)));
  // Kept as it grows: a run that is cut short has still measured what it has.
  if (chosen.length === BENCHMARKS.length) writeFileSync(RESULTS, describeRun(formatTable(rows)));
}
console.log(`\n${formatTable(rows)}`);

async function runOne(benchmark: Benchmark): Promise<readonly Row[]> {
  const diskDirectory = mkdtempSync(join(process.env['DRIVEBAY_BENCH_DIR'] ?? process.cwd(), '.bench-'));
  const memoryDirectory = mkdtempSync('/dev/shm/drivebay-bench-');
  const log = (line: string): void => console.error(`${benchmark.name}: ${line}`);
  log('started');
  try {
    return await benchmark.run({ diskDirectory, memoryDirectory, runs: RUNS, log });
  } finally {
    for (const directory of [diskDirectory, memoryDirectory]) rmSync(directory, { recursive: true });
  }
}

function describeRun(results: string): string {
  const [processor] = cpus();
  const memoryGib = Math.round(totalmem() / 1024 ** 3);
  const machine = `${availableParallelism()} cores of ${processor?.model ?? 'an unknown processor'}, ${memoryGib} GiB`;
  return `# Results

Made by \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, on ${machine}.
The machine is shared and noisy: read the ratios. Every figure is the median of ${RUNS} runs (least to most behind it);
ours and the peer's ran in turn in the same run. A ratio above 1 says that ours is better.

${results}

${readFileSync(NOTES, 'utf8')}`;
}
