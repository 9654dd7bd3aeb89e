import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './lib/command.ts';
import { startDrivebay } from './lib/drivebay-server.ts';
import { createDrive, MIB } from './lib/drives.ts';
import { writeHalfEmptyImage } from './lib/images.ts';
import { inTurn, secondsOf } from './lib/measure.ts';
import type { Benchmark } from './lib/measure.ts';
import { startNginx } from './lib/nginx.ts';
import { downloadFile, uploadFile } from './lib/upload.ts';

const SIZE_BYTES = 2048 * MIB;
/** Uploads after which the server's code is compiled, as it is in a server that has run for a minute. */
const WARM_UPLOADS = 4;

/**
 * Upload and download of a half-empty image by the command-line client, durable and verified, against curl sending
 * the whole file to nginx (DAV PUT, then syncing it) and fetching it back.
 */
export const cliTransfer: Benchmark = {
  name: 'cli-transfer',
  async run(context) {
    const image = join(context.diskDirectory, 'image.raw');
    writeHalfEmptyImage(image, SIZE_BYTES);
    await using nginx = await startNginx(join(context.diskDirectory, 'nginx'), context.diskDirectory);
    await using server = await startDrivebay(join(context.diskDirectory, 'data'));
    const back = join(context.diskDirectory, 'back.raw');
    const url = `http://127.0.0.1:${nginx.port}/put.raw`;
    let drive = '';
    const upload = async (): Promise<number> => {
      if (drive !== '') await server.call('POST', `/drives/${drive}/destroy`);
      drive = await createDrive(server, { sizeBytes: SIZE_BYTES, cipher: 'aes-xts-plain' });
      return await secondsOf(() => uploadFile(server, image, drive));
    };
    const put = async (): Promise<number> => {
      rmSync(join(context.diskDirectory, 'put.raw'), { force: true });
      return await secondsOf(async () => {
        await run('curl', ['-sSf', '-T', image, url]);
        await run('sync', [join(context.diskDirectory, 'put.raw')]);
      });
    };
    const download = async (): Promise<number> => {
      rmSync(back, { force: true });
      const seconds = await secondsOf(() => downloadFile(server, drive, back));
      await run('cmp', [image, back]);
      return seconds;
    };
    const get = async (): Promise<number> => {
      rmSync(back, { force: true });
      return await secondsOf(async () => {
        await run('curl', ['-sSf', '-o', back, url]);
        await run('sync', [back]);
      });
    };
    for (let run = 0; run < WARM_UPLOADS; run += 1) await upload();
    const common = { unit: 's', better: 'lower', target: 1.5 } as const;
    const up = await inTurn(context.runs, { ours: upload, peer: put });
    const down = await inTurn(context.runs, { ours: download, peer: get });
    return [
      { ...common, work: 'upload of a half-empty 2 GiB image', peerName: 'curl PUT to nginx, sync', ...up },
      { ...common, work: 'download of it', peerName: 'curl GET from nginx, sync', ...down },
    ];
  },
};
