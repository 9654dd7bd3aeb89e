import { extname } from 'node:path';

/**
 * Where a worker's file is: `name` is its source beside the caller, such as `./sqlite-thread.ts`. In the installed
 * package everything is compiled, so the worker has the extension that its caller has.
 *
 * @param name relative to `callerUrl`, ending in `.ts`
 * @param callerUrl `import.meta.url` of the caller
 */
export function workerUrl(name: string, callerUrl: string): URL {
  const url = new URL(name, callerUrl);
  url.pathname = url.pathname.replace(/\.ts$/, extname(new URL(callerUrl).pathname));
  return url;
}
