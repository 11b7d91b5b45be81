// The folders in memory and on the disk behave alike.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { nodeFolder } from '../../src/node/node-folder.js';
import { testFolder } from './folder-suite.js';

const parent = mkdtempSync(join(tmpdir(), 'fedstream-folder-'));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

let made = 0;
testFolder('memoryFolder', () => memoryFolder());
testFolder('nodeFolder', () => nodeFolder(join(parent, String(made++))));
testFolder('nodeFolder that follows links', () => nodeFolder(join(parent, String(made++)), { followLinks: true }));
