// Work folders that another job has used.
import { OLD_FOLDERS } from './old-folders.js';
import { testTable } from './situation.js';

testTable(OLD_FOLDERS);
