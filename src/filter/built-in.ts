// The filters that there are: one row each. Whoever starts a server or a site may pass a longer table.
import type { Table } from '../core/row.js';
import { clipRow } from './clip.js';
import { deltaRow, undeltaRow } from './delta.js';
import type { Filter } from './filter.js';
import { dequantizeRow, quantizeRow } from './quantize.js';
import { excludeRow, includeRow } from './select.js';

export const builtInFilters: Table<Filter> = [excludeRow, includeRow, deltaRow, undeltaRow, quantizeRow, dequantizeRow, clipRow];
