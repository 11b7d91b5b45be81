// Runs the table of models for the built-in trainer.
import { BUILT_IN_TRAINER } from './built-in-trainer.js';
import { testTable } from './situation.js';

testTable(BUILT_IN_TRAINER);
