// Rows of Arrow files: streams as `datasets` caches and saves them, files of the IPC format.
import { readFileSync, statSync } from 'node:fs';
import { BUDGETS } from '../../core/budgets.js';
import { FedStreamError } from '../../core/errors.js';
import type { Row } from '../../trainer/data/rows.js';
import { needPackage } from '../drivers/need-package.js';
import { ioError } from '../storage/io-error.js';
import { plainValue } from './plain-value.js';

/** Yields rows as JSON could hold them; throws `bad-data` for a broken file, `unsupported` without the package. */
export async function* arrowRows(path: string): AsyncGenerator<Row> {
  const { tableFromIPC } = await needPackage('@uwdata/flechette', 'Arrow', () => import('@uwdata/flechette'));
  const table = (() => {
    try {
      return tableFromIPC(wholeFile(path), { useProxy: false });
    } catch (cause) {
      if (cause instanceof FedStreamError) throw cause;
      const export_ = `python -c "import datasets, sys; datasets.Dataset.from_file(sys.argv[1]).to_json('data.jsonl')" "${path}"`;
      throw new FedStreamError(
        'bad-data',
        `${path} is no Arrow file that can be read here (${(cause as Error).message}); export it: ${export_}`,
        { cause },
      );
    }
  })();
  for (let index = 0; index < table.numRows; index++) yield { where: `${path} row ${index + 1}`, value: plainValue(table.at(index)) };
}

/** Arrow is read in place, so the whole file is in memory; `datasets` cuts its files at 500 MB. */
function wholeFile(path: string): Uint8Array {
  const { limit } = BUDGETS.arrowBytes;
  try {
    const { size } = statSync(path);
    if (size > limit)
      throw new FedStreamError('limit', `${path} has ${size} bytes; an Arrow file of at most ${limit} is read; save it in more shards`);
    return readFileSync(path);
  } catch (cause) {
    throw ioError(cause, 'read', path);
  }
}
