/** Where the body of a request lies, as far as its head tells without a doubt. */
export type RequestFrame =
  /** The head leaves room for doubt, or has a body without a length: nothing after it is looked at any more. */
  | { readonly kind: 'unclear' }
  | { readonly kind: 'plain'; readonly bodyBytes: number }
  /** A write, whose body need not pass through the HTTP parser: the head without it. */
  | { readonly kind: 'write'; readonly bodyBytes: number; readonly headWithoutBody: string };

const REQUEST_LINE = /^([A-Z]{1,20}) (\/[!-~]*) HTTP\/1\.1$/;
const HEADER_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\x80-\xff]*)$/;
const WRITE_PATH = /^\/drives\/[^/]+\/write(?:\/[^/]*)?$/;
/** Headers that say something about where the body ends, or that the connection becomes something else. */
const UNCLEAR_HEADERS: ReadonlySet<string> = new Set(['transfer-encoding', 'upgrade', 'trailer']);

/**
 * Looks at a whole head, up to and including its empty line, in Latin-1. What is not in the plainest form is `unclear`:
 * where two readers of one head could differ, only Node's parser reads it.
 */
export function frameOf(head: string): RequestFrame {
  const [requestLine = '', ...headers] = head.slice(0, -4).split('\r\n');
  const [, method, path = ''] = REQUEST_LINE.exec(requestLine) ?? [];
  if (method === undefined || method === 'CONNECT') return { kind: 'unclear' };
  let length: string | null = null;
  for (const line of headers) {
    const [, name, value = ''] = HEADER_LINE.exec(line) ?? [];
    if (name === undefined) return { kind: 'unclear' };
    const key = name.toLowerCase();
    if (UNCLEAR_HEADERS.has(key)) return { kind: 'unclear' };
    if (key !== 'content-length') continue;
    if (length !== null || !/^[0-9]{1,15}$/.test(value)) return { kind: 'unclear' };
    length = value;
  }
  const bodyBytes = Number(length ?? 0);
  if (method !== 'POST' || bodyBytes === 0 || !WRITE_PATH.test(path)) return { kind: 'plain', bodyBytes };
  return { kind: 'write', bodyBytes, headWithoutBody: withoutLength(head) };
}

/** The head with a length of 0 in the same number of digits. */
function withoutLength(head: string): string {
  return head.replace(/(\r\ncontent-length:[ \t]*)([0-9]+)/i, (_all, name: string, digits: string) => {
    return name + '0'.repeat(digits.length);
  });
}
