// Instruction data from text: a JSON array, or JSON lines.
import { FedStreamError } from '../../core/errors.js';
import { parseSample, type Sample } from './sample.js';

/** Reads lines as they come; the first character that is not blank decides between an array and lines. Errors name file and line. */
export async function parseData(lines: AsyncIterable<string> | Iterable<string>, source: string): Promise<Sample[]> {
  const samples: Sample[] = [];
  const array: string[] = [];
  let isArray: boolean | undefined;
  let number = 0;
  for await (const line of lines) {
    number++;
    const content = number === 1 ? line.replace(/^\uFEFF/, '') : line;
    isArray ??= content.trim() === '' ? undefined : content.trimStart().startsWith('[');
    // Blank lines in front count, too, in the line numbers of an array.
    if (isArray !== false) array.push(content);
    else if (content.trim() !== '') samples.push(parseSample(parseJson(content, `${source} line ${number}`), `${source} line ${number}`));
  }
  if (isArray) samples.push(...parseArray(array, source));
  if (samples.length === 0) throw new FedStreamError('bad-data', `${source} has no samples`);
  return samples;
}

function parseArray(lines: readonly string[], source: string): Sample[] {
  const text = lines.join('\n');
  const items = parseJson(text, source);
  if (!Array.isArray(items)) throw new FedStreamError('bad-data', `${source} is not an array of samples`);
  const starts = itemLines(text);
  return items.map((item, index) => parseSample(item, `${source} line ${starts[index] ?? '?'} (item ${index + 1})`));
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const message = (cause as Error).message;
    const at = /position (\d+)/.exec(message)?.[1];
    const line = at === undefined || where.includes(' line ') ? '' : ` line ${text.slice(0, Number(at)).split('\n').length}`;
    throw new FedStreamError('bad-data', `${where}${line}: not JSON: ${message}`, { cause });
  }
}

/** The line on which each item of a (valid) top-level array begins. */
function itemLines(text: string): number[] {
  const lines: number[] = [];
  let line = 1;
  let depth = 0;
  let expects = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i] as string;
    if (character === '\n') line++;
    if (/\s/.test(character)) continue;
    if (expects && character !== ']') lines.push(line);
    expects = false;
    if (character === '"') i = stringEnd(text, i);
    else if (character === '[' || character === '{') depth++;
    else if (character === ']' || character === '}') depth--;
    expects = depth === 1 && ((character === '[' && lines.length === 0) || character === ',');
  }
  return lines;
}

function stringEnd(text: string, start: number): number {
  let i = start + 1;
  while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
  return i;
}
