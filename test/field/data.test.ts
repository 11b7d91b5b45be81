// Data that people bring, each file read as it lies on the disk.
import { DATA_FILES } from './data-files.js';
import { DATA_SHAPES } from './data-shapes.js';
import { testTable } from './situation.js';

testTable(DATA_FILES);
testTable(DATA_SHAPES);
