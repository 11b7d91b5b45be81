// The filters that there are: one row each. Whoever starts a server or a site may pass a longer
// table.
import type { CodecTable } from '../codec/codec.js';
import { referenceCodecs } from '../codec/codec-table.js';
import type { Table } from '../core/row.js';
import { clipRow } from './clip.js';
import { deltaRow, undeltaRow } from './delta.js';
import type { Filter } from './filter.js';
import { dequantizeRow, quantizeRow } from './quantize.js';
import { excludeRow, includeRow } from './select.js';

/** With the codecs that there are. */
export function builtInFiltersWith(codecs: CodecTable): Table<Filter> {
  return [excludeRow, includeRow, deltaRow, undeltaRow, quantizeRow(codecs), dequantizeRow, clipRow];
}

/** With the codecs of this package. */
export const builtInFilters: Table<Filter> = builtInFiltersWith(referenceCodecs);
