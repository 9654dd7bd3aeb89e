import { readFileSync } from 'node:fs';

/** The WebAssembly part of AES-XTS; its source, assembly/xts.ts, says what each function does. Arguments are addresses in the memory. */
export interface XtsKernel {
  numberSectors(tweaks: number, firstSector: number, sectors: number): void;
  alignTweaks(tweaks: number, sectors: number): void;
  mask(from: number, into: number, tweaks: number, sectors: number): void;
  noteUnwritten(data: number, tweaks: number, sectors: number): number;
  unmask(data: number, tweaks: number, sectors: number): void;
}

/** Loads the code over a memory, which any number of threads may share. */
export function loadXtsKernel(memory: WebAssembly.Memory): XtsKernel {
  const module = new WebAssembly.Module(readFileSync(new URL('xts.wasm', import.meta.url)));
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  return {
    numberSectors: functionOf(exports, 'numberSectors'),
    alignTweaks: functionOf(exports, 'alignTweaks'),
    mask: functionOf(exports, 'mask'),
    noteUnwritten: functionOf(exports, 'noteUnwritten') as XtsKernel['noteUnwritten'],
    unmask: functionOf(exports, 'unmask'),
  };
}

function functionOf(exports: Readonly<Record<string, unknown>>, name: string): (...args: number[]) => void {
  const value = exports[name];
  if (typeof value !== 'function')
    throw new Error(`xts.wasm has no ${name}: build it with npm run build:wasm.`);
  return value as (...args: number[]) => void;
}
