// Reads instruction data from text: a JSON array, or JSON lines.
import { FedStreamError } from '../../core/errors.js';
import { ArrayItems } from './array-items.js';
import { parseSample, type Sample } from './sample.js';

const ONE_A_LINE = ' (a file that does not begin with [ has a whole sample on every line)';

/**
 * Reads lines as they arrive; the first character that is not blank decides between an array and
 * lines. Throws `bad-data`, which names file and line.
 */
export async function parseData(lines: AsyncIterable<string> | Iterable<string>, source: string): Promise<Sample[]> {
  const samples: Sample[] = [];
  const array = new ArrayItems(source);
  let isArray: boolean | undefined;
  let number = 0;
  for await (const line of lines) {
    number++;
    const content = number === 1 ? line.replace(/^\uFEFF/, '') : line;
    const blank = content.trim() === '';
    isArray ??= blank ? undefined : content.trimStart().startsWith('[');
    // Blank lines in front count in an array's line numbers, too.
    if (isArray !== false)
      for (const item of array.push(content)) samples.push(parseItem(item.text, `${source} line ${item.line} (item ${item.number})`));
    else if (!blank) samples.push(parseItem(content, `${source} line ${number}`, ONE_A_LINE));
  }
  array.end();
  if (samples.length === 0)
    throw new FedStreamError('bad-data', `${source} has no samples; it should be a JSON array of samples, or one sample a line`);
  return samples;
}

function parseItem(text: string, where: string, hint = ''): Sample {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FedStreamError('bad-data', `${where}: not JSON: ${(cause as Error).message}${hint}`, { cause });
  }
  return parseSample(value, where);
}
