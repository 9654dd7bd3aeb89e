import { describeStoragePool } from './describe-storage-pool.ts';
import { scratchFilePool, scratchMemoryPool } from './scratch-devices.ts';

describeStoragePool('memory', async () => scratchMemoryPool());
describeStoragePool('a directory', async () => scratchFilePool());
