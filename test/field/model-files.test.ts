// Every situation of model files and folders.
import { MODEL_FILES } from './model-files.js';
import { testTable } from './situation.js';

testTable(MODEL_FILES);
