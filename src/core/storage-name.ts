// The rule for file names inside a folder: plain relative paths that cannot leave it.
import { FedStreamError } from './errors.js';

/** Returns the name if it is safe to use below any folder; throws `bad-argument` otherwise. */
export function checkName(name: string): string {
  const segments = name.split('/');
  const safe = name.length > 0 && name.length <= 1024 && segments.every(isPlainSegment);
  if (!safe) throw new FedStreamError('bad-argument', `file name ${JSON.stringify(name)} is not a plain relative path`);
  return name;
}

function isPlainSegment(segment: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
  return segment !== '' && segment !== '.' && segment !== '..' && !/[\\\u0000-\u001f:]/.test(segment);
}
