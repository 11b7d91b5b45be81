// Cuts the bytes of a text into its lines; UTF-16 is rewritten as UTF-8 first.
import { FedStreamError } from '../../core/errors.js';

/** The longest line of a JSONL file, or a whole array on one line: a string can hold it. */
const MAX_LINE_BYTES = 256 * 1024 * 1024;
const LINE_FEED = 0x0a;

/**
 * Yields lines without their ends. They are cut as bytes, so that an error can name a line that is
 * not UTF-8, and so that a long line is joined only once.
 */
export async function* linesOf(bytes: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<string> {
  let pieces: Uint8Array[] = [];
  let lengthBytes = 0;
  let number = 1;
  const take = (piece: Uint8Array): void => {
    lengthBytes += piece.length;
    if (lengthBytes > MAX_LINE_BYTES) throw new FedStreamError('limit', `${path} line ${number} is longer than ${MAX_LINE_BYTES} bytes`);
    pieces.push(piece);
  };
  const line = (): string => {
    const text = decodeLine(Buffer.concat(pieces), `${path} line ${number++}`);
    pieces = [];
    lengthBytes = 0;
    return text;
  };
  for await (const piece of bytes) {
    let from = 0;
    for (let end = piece.indexOf(LINE_FEED); end >= 0; end = piece.indexOf(LINE_FEED, from)) {
      take(piece.subarray(from, end));
      from = end + 1;
      yield line();
    }
    take(piece.subarray(from));
  }
  if (lengthBytes > 0) yield line();
}

/** Text in UTF-16 as UTF-8; throws `bad-data` for half a character. */
export async function* fromUtf16(
  bytes: AsyncIterable<Uint8Array>,
  label: 'utf-16le' | 'utf-16be',
  path: string,
): AsyncGenerator<Uint8Array> {
  const decoder = new TextDecoder(label, { fatal: true });
  try {
    for await (const piece of bytes) yield Buffer.from(decoder.decode(piece, { stream: true }));
    yield Buffer.from(decoder.decode());
  } catch (cause) {
    if (cause instanceof FedStreamError) throw cause;
    throw new FedStreamError('bad-data', `${path} is not ${label.toUpperCase()} text to its end; fetch or write it again`, { cause });
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decodeLine(bytes: Uint8Array, where: string): string {
  try {
    return UTF8.decode(bytes);
  } catch (cause) {
    throw new FedStreamError('bad-data', `${where} is not UTF-8 text; if it is Latin-1, rewrite it: iconv -f LATIN1 -t UTF-8`, { cause });
  }
}
