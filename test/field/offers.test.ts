// Each situation of a model that a site offers.
import { OFFERS } from './offers.js';
import { testTable } from './situation.js';

testTable(OFFERS);
