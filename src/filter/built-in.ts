// The built-in filters, one row each. A server or a site may be given a longer table.
import type { CodecTable } from '../codec/codec.js';
import { referenceCodecs } from '../codec/codec-table.js';
import type { Table } from '../core/row.js';
import { clipRow } from './clip.js';
import { deltaRow, undeltaRow } from './delta.js';
import type { Filter } from './filter.js';
import { dequantizeRow, quantizeRow } from './quantize.js';
import { excludeRow, includeRow } from './select.js';

/** The built-in filters, with options that may name these codecs. */
export function builtInFiltersWith(codecs: CodecTable): Table<Filter> {
  return [excludeRow, includeRow, deltaRow, undeltaRow, quantizeRow(codecs), dequantizeRow, clipRow];
}

/** The built-in filters, with the codecs of this package. */
export const builtInFilters: Table<Filter> = builtInFiltersWith(referenceCodecs);
