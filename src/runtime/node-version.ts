/** The oldest Node that has all that Drivebay needs; the same as `engines` in package.json. */
export const OLDEST_NODE_MAJOR = 26;

/**
 * One sentence when this Node is too old to run Drivebay, else null. Whoever calls this must import nothing else before
 * it, or an old Node fails on that instead, with a message that nobody understands.
 *
 * @param version as in `process.versions.node`
 */
export function nodeVersionProblem(version: string): string | null {
  const major = Number.parseInt(version, 10);
  if (major >= OLDEST_NODE_MAJOR) return null;
  return (
    `drivebay needs Node ${OLDEST_NODE_MAJOR} or newer, and this is Node ${version}. ` +
    `Install a newer Node, or run it with one from npm: npx -p node@${OLDEST_NODE_MAJOR} -p drivebay drivebay`
  );
}
