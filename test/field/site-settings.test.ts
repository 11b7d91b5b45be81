// Sites with other settings than each other.

import { SITE_SETTINGS } from './site-settings.js';
import { testTable } from './situation.js';

testTable(SITE_SETTINGS);
