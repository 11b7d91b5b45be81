// The situations of sides of different releases.
import { testTable } from './situation.js';
import { VERSIONS } from './versions.js';

testTable(VERSIONS);
