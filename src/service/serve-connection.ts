import { isMovingElsewhere } from './moving-elsewhere.ts';
import { isFencedFrom } from './node-fence.ts';
import { untilOthersAreInLine } from './node-notices.ts';
import { isClaimCurrent } from './resolve-attachment.ts';
import type { Attachment, Transmission } from './service.ts';
import type { ServiceContext } from './service-context.ts';

/**
 * Serves a server's connection until it ends; see `AttachmentService.serve`. It is registered before the claim is looked
 * at once more: whoever ends the claim later cuts it, and whoever ended it before is noticed here. A server that comes from
 * another node, which was killed, is served once nothing that it had sent there can be done any more. While another node moves
 * the drive it is served there.
 */
export async function serveConnection(
  context: ServiceContext,
  { claim, drive }: Attachment,
  transmission: Transmission,
): Promise<string> {
  const { driveId, serverId, epoch, access } = claim;
  const { poolName } = drive;
  const life = context.poolLife();
  const registered = context.connections.register({ driveId, poolName, serverId, epoch }, drive.limits);
  try {
    if (!(await isClaimCurrent(context, claim))) return 'cut';
    if (await isMovingElsewhere(context, drive)) return 'cut';
    await untilOthersAreInLine(context, drive);
    const spec = await context.volumeKeys.specOf(drive);
    if (registered.isCut || isFencedFrom(context, poolName)) return 'cut';
    const { limit, stats } = registered;
    const connection = context.volumes.attach(spec, {
      ...transmission,
      life,
      isReadOnly: access === 'ro',
      limit,
      stats,
    });
    registered.attached(connection);
    return await connection.ended;
  } finally {
    registered.close();
  }
}
