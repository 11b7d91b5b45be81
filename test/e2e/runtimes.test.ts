// The same job on every supported version of Node gives the same model, bit for bit.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { jobFile, modelOf, SMALL_JOB, workFolder } from './command.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const BIN = join(root, 'bin/fedstream.mjs');

/**
 * SHA-256 of the final model of the small job in nf4. A change of this value
 * means that every user's models change: the changelog must say why.
 */
const FINAL_MODEL = 'a2d36255736dd613db7fcd32035ca3b002a26264abb4659995292fa737e9f5f2';

const { NODE_VERSIONS, nodeOf } = (await import(pathToFileURL(join(root, 'scripts/on-node.mjs')).href)) as {
  NODE_VERSIONS: readonly string[];
  nodeOf(version: string): string;
};

const folder = workFolder();
jobFile(folder, { ...SMALL_JOB, quantize: 'nf4', seed: 17 });

function simulate(binary: string, name: string): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(binary, [BIN, 'simulate', '--job', 'job.json', '--name', name], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stderr })));
}

async function digestOn(binary: string, name: string): Promise<string> {
  const { code, stderr } = await simulate(binary, name);
  expect(code, stderr).toBe(0);
  return createHash('sha256').update(modelOf(folder, name)).digest('hex');
}

test(`Node ${process.versions.node} gives the model of the small job`, async () => {
  expect(await digestOn(process.execPath, 'own')).toBe(FINAL_MODEL);
});

// Each is hundreds of megabytes to fetch, so that CI alone does.
test.skipIf(!process.env.FEDSTREAM_REQUIRE_NODES).each(NODE_VERSIONS)('Node %s gives the model of the small job', async (version) => {
  expect(await digestOn(nodeOf(version), `node-${version}`)).toBe(FINAL_MODEL);
});

test('the oldest version is the one that the package asks for', () => {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { engines: { node: string } };
  expect(engines.node).toBe(`>=${NODE_VERSIONS[0]}`);
});
