// What Linux counts of this process: the bytes of every read and write there is, whoever asked for it.
import { existsSync, readFileSync } from 'node:fs';

/** {readBytes, writtenBytes} since the process began; undefined where the system does not count them. */
export function processBytes() {
  if (!existsSync('/proc/self/io')) return undefined;
  const text = readFileSync('/proc/self/io', 'latin1');
  const count = (name) => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(text)?.[1]);
  return { readBytes: count('rchar'), writtenBytes: count('wchar') };
}
