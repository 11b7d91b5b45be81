// The situations of a site's disk.
import { SITE_DISK } from './site-disk.js';
import { testTable } from './situation.js';

testTable(SITE_DISK);
