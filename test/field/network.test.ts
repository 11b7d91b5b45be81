// The situations of addresses and networks.
import { NETWORK } from './network.js';
import { testTable } from './situation.js';

testTable(NETWORK);
