// The folders in memory and on the disk behave alike.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, test } from 'vitest';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { nodeFolder } from '../../src/node/storage/node-folder.js';
import { testFolder } from '../../src/testing/folder-conformance.js';

const parent = mkdtempSync(join(tmpdir(), 'fedstream-folder-'));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

let made = 0;
testFolder('memory', () => memoryFolder(), test);
testFolder('node', () => nodeFolder(join(parent, String(made++))), test);
testFolder('node, following links', () => nodeFolder(join(parent, String(made++)), { followLinks: true }), test);
