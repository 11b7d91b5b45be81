// Every situation of GGUF files.
import { GGUF_FILES } from './gguf-files.js';
import { testTable } from './situation.js';

testTable(GGUF_FILES);
