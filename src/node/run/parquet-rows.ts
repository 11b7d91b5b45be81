// Rows of a Parquet file, group by group.
import { FedStreamError } from '../../core/errors.js';
import type { Row } from '../../trainer/data/rows.js';
import { needPackage } from '../drivers/need-package.js';
import { plainValue } from './plain-value.js';

/** Yields rows as JSON could hold them; throws `bad-data` for a file that is broken, `unsupported` without the packages. */
export async function* parquetRows(path: string): AsyncGenerator<Row> {
  const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } = await needPackage(
    'hyparquet',
    'Parquet',
    () => import('hyparquet'),
  );
  const { compressors } = await needPackage('hyparquet-compressors', 'Parquet', () => import('hyparquet-compressors'));
  try {
    const file = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    let rowStart = 0;
    // A row group is decoded as a whole, whatever part of it is asked for.
    for (const { num_rows } of metadata.row_groups) {
      const rowEnd = rowStart + Number(num_rows);
      const rows = await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd });
      for (const [index, value] of rows.entries()) yield { where: `${path} row ${rowStart + index + 1}`, value: plainValue(value) };
      rowStart = rowEnd;
    }
  } catch (cause) {
    if (cause instanceof FedStreamError) throw cause;
    throw new FedStreamError(
      'bad-data',
      `${path} is a Parquet file that is broken or cut off (${(cause as Error).message}); fetch it again`,
      { cause },
    );
  }
}
