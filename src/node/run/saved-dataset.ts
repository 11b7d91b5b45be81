// Folders that `datasets` wrote with save_to_disk: the Arrow files of a data set, in order.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { FedStreamError } from '../../core/errors.js';
import { ioError } from '../storage/io-error.js';

const state = z.looseObject({ _data_files: z.array(z.looseObject({ filename: z.string() })).min(1) });
const splits = z.looseObject({ splits: z.array(z.string()).min(1) });

/**
 * The paths of the Arrow files in a folder; undefined where it is no saved data set. Throws
 * `bad-data` for one whose splits must be chosen from.
 */
export function savedDataset(folder: string): string[] | undefined {
  const several = join(folder, 'dataset_dict.json');
  if (existsSync(several)) {
    const { splits: names } = parsed(several, splits);
    if (names.length > 1)
      throw new FedStreamError(
        'bad-data',
        `${folder} has the splits ${names.join(', ')}; give one of them: ${join(folder, names[0] as string)}`,
      );
    return savedDataset(join(folder, inside(names[0] as string, several)));
  }
  const path = join(folder, 'state.json');
  if (!existsSync(path) || !existsSync(join(folder, 'dataset_info.json'))) return undefined;
  return parsed(path, state)._data_files.map(({ filename }) => join(folder, inside(filename, path)));
}

/** A name in a file of the data set leads nowhere else. */
function inside(name: string, source: string): string {
  if (/[/\\\0]/.test(name) || name.startsWith('.'))
    throw new FedStreamError('bad-data', `${source} names ${JSON.stringify(name)}, which is outside its folder`);
  return name;
}

function parsed<T>(path: string, schema: z.ZodType<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    if (cause instanceof SyntaxError) throw new FedStreamError('bad-data', `${path} is not JSON: ${cause.message}`, { cause });
    throw ioError(cause, 'read', path);
  }
  const checked = schema.safeParse(value);
  if (checked.success) return checked.data;
  throw new FedStreamError('bad-data', `${path} is not as datasets writes it; save the data set again`);
}
