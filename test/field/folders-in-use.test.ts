// Two processes in one folder.
import { FOLDERS_IN_USE } from './folders-in-use.js';
import { testTable } from './situation.js';

testTable(FOLDERS_IN_USE);
