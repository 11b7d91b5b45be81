// Runs the tables of models for the built-in trainer.
import { BUILT_IN_TRAINER } from './built-in-trainer.js';
import { BUILT_IN_WEIGHTS } from './built-in-weights.js';
import { testTable } from './situation.js';

testTable(BUILT_IN_TRAINER);
testTable(BUILT_IN_WEIGHTS);
