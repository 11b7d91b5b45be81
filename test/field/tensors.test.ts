// Each situation of tensors in a federation.
import { testTable } from './situation.js';
import { TENSORS } from './tensors.js';

testTable(TENSORS);
