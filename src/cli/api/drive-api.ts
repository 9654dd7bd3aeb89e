import { CliError } from '../cli-error.ts';
import { bytesOf, textOf } from './api-client.ts';
import type { ApiClient, Fields, Info } from './api-client.ts';

/** The unit of the block map, and the most that one read gives. */
export const BLOCK_BYTES = 4 * 1024 * 1024;

/** Key export may write encrypted zeros into the whole of a drive first. */
const EXPORT_TIMEOUT_MS = 24 * 3600 * 1000;

/** A look that comes later is of no use to who watches. */
const ACTIVITY_TIMEOUT_MS = 10_000;

export interface ByteRange {
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

/** What one request writes. The digest is of `body` as it is sent. */
export interface PieceWrite {
  readonly offsetBytes: number;
  readonly body: Buffer;
  readonly isGzip: boolean;
  /** Of the body; see `gmacOf`. */
  readonly gmac: Buffer;
}

export interface MapEntry extends ByteRange {
  readonly isZero: boolean;
  /** In hex. */
  readonly sha256: string | null;
}

/** The Drive API's commands, one call each. */
export class DriveApi {
  readonly client: ApiClient;

  constructor(client: ApiClient) {
    this.client = client;
  }

  infos(query = ''): Promise<Info[]> {
    return this.client.getInfos(`/drives/info${query}`);
  }

  standardInfos(): Promise<Info[]> {
    return this.client.getInfos('/drives/info/standard');
  }

  info(driveId: string): Promise<Info> {
    return this.client.getInfo(`/drives/${driveId}/info`);
  }

  fullInfo(driveId: string): Promise<Info> {
    return this.client.getInfo(`/drives/${driveId}/info/full`);
  }

  /** The key makes it the same to send the request twice, so that a broken connection leaves no second drive. */
  create(fields: Fields, idempotencyKey: string): Promise<Info> {
    const headers = { 'idempotency-key': idempotencyKey };
    return this.client.postInfo('/drives/create', fields, { headers, isRepeatable: true });
  }

  set(driveId: string, fields: Fields): Promise<Info> {
    return this.client.postInfo(`/drives/${driveId}/set`, fields, { isRepeatable: true });
  }

  async destroy(driveId: string): Promise<void> {
    await this.client.post(`/drives/${driveId}/destroy`);
  }

  async image(request: { sourceId: string; targetId: string; conversion: string | null }): Promise<void> {
    const suffix = request.conversion === null ? '' : `/${request.conversion}`;
    await this.client.post(`/drives/${request.targetId}/image/${request.sourceId}${suffix}`);
  }

  async write(driveId: string, piece: PieceWrite): Promise<void> {
    const headers = {
      'content-type': 'application/octet-stream',
      'content-digest': `aes-128-gmac=:${piece.gmac.toString('base64')}:`,
    };
    await this.client.exchange({
      method: 'POST',
      path: `/drives/${driveId}/write/${piece.offsetBytes}`,
      headers: piece.isGzip ? { ...headers, 'content-encoding': 'gzip' } : headers,
      body: piece.body,
      isRepeatable: true,
    });
  }

  /**
   * Fills `target` from the drive.
   *
   * @returns the GMAC that the server says its bytes have, see `gmacOf`; null when it says none
   */
  async read(driveId: string, offsetBytes: number, target: Buffer): Promise<Buffer | null> {
    const path = `/drives/${driveId}/read/${offsetBytes}/${target.length}`;
    const headers = { accept: 'application/octet-stream', 'want-content-digest': 'aes-128-gmac=1' };
    const answer = await this.client.exchange({ method: 'GET', path, headers, isRepeatable: true }, target);
    if (answer.body !== target) {
      throw new CliError(
        'failed',
        `the server sent ${answer.body.length} bytes for a read of ${target.length}`,
      );
    }
    const digest = /aes-128-gmac=:([A-Za-z0-9+/=]+):/.exec(answer.headers['content-digest'] ?? '')?.[1];
    return digest === undefined ? null : Buffer.from(digest, 'base64');
  }

  /** The block map of a range; null when the server has no such command. */
  async map(driveId: string, range: ByteRange, withHash: boolean): Promise<MapEntry[] | null> {
    const hash = withHash ? '&hash=sha256' : '';
    try {
      const entries = await this.client.getInfos(
        `/drives/${driveId}/map?offset=${range.offsetBytes}&size=${range.sizeBytes}${hash}`,
      );
      return entries.map(toMapEntry);
    } catch (error) {
      if (error instanceof CliError && error.code === 'missing') return null;
      throw error;
    }
  }

  /** Claiming again for the same server gives another secret, so it does no harm to send the request twice. */
  claim(driveId: string, fields: Fields): Promise<Info> {
    return this.client.postInfo(`/drives/${driveId}/claim`, fields, { isRepeatable: true });
  }

  async release(driveId: string, serverId: string): Promise<void> {
    await this.client.post(`/drives/${driveId}/release`, { server: serverId }, { isRepeatable: true });
  }

  /** What was done since the server's start to the user's drives in use, or to everybody's; answered soon or not at all. */
  activity(isEverybodys: boolean): Promise<Info[]> {
    const path = isEverybodys ? '/admin/drives/activity' : '/drives/activity';
    return this.client.getInfos(path, { timeoutMs: ACTIVITY_TIMEOUT_MS });
  }

  claims(driveId: string): Promise<Info[]> {
    return this.client.getInfos(`/drives/${driveId}/claims`);
  }

  /** Any drive of any user, for administrators. */
  anyInfo(driveId: string): Promise<Info> {
    return this.client.getInfo(`/admin/drives/${driveId}/info`);
  }

  move(driveId: string, fields: Fields): Promise<Info> {
    return this.client.postInfo(`/admin/drives/${driveId}/move`, fields);
  }

  cancelMove(driveId: string): Promise<Info> {
    return this.client.postInfo(`/admin/drives/${driveId}/move/cancel`, {}, { isRepeatable: true });
  }

  exportKey(driveId: string, fillHoles: boolean): Promise<Info> {
    const path = `/admin/drives/${driveId}/key/export`;
    return this.client.postInfo(path, { fill: String(fillHoles) }, { timeoutMs: EXPORT_TIMEOUT_MS });
  }
}

function toMapEntry(entry: Info): MapEntry {
  return {
    offsetBytes: bytesOf(entry, 'offset'),
    sizeBytes: bytesOf(entry, 'size'),
    isZero: ['true', '1'].includes(textOf(entry, 'zero') ?? ''),
    sha256: textOf(entry, 'sha256')?.toLowerCase() ?? null,
  };
}
