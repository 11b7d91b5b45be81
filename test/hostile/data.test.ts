// Data files and chat templates that would take memory or time without end.
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { BUDGETS } from '../../src/core/budgets.js';
import { readDataFile } from '../../src/node/run/data-files.js';
import { startTokenizer } from '../../src/node/trainer/tokenizer-host.js';
import { tokenizerConfigJson, tokenizerJson } from '../../src/trainer/tokenizer/tokenizer-json.js';
import { trainBpe } from '../../src/trainer/tokenizer/train-bpe.js';

const folder = mkdtempSync(join(tmpdir(), 'fedstream-hostile-data-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

test('a file that expands without measure is refused: budget expansion', async () => {
  const bomb = file('bomb.jsonl', gzipSync(Buffer.alloc(72 * 2 ** 20, ' ')));
  await expect(readDataFile(bomb)).rejects.toMatchObject({
    code: 'limit',
    message: expect.stringContaining(`${BUDGETS.expansion.limit} times its size`),
  });
});

test('an Arrow file that memory may not hold is refused by its size: budget arrowBytes', async () => {
  const path = file('huge.arrow', 'ARROW1\0\0');
  truncateSync(path, BUDGETS.arrowBytes.limit + 1);
  await expect(readDataFile(path)).rejects.toMatchObject({ code: 'limit', message: expect.stringContaining('save it in more shards') });
});

const SAMPLES = [{ prompt: 'the', answer: 'there' }];

/** A tokenizer of our own with somebody's chat template. */
function withTemplate(chat_template: string) {
  const configJson = JSON.stringify({ ...JSON.parse(tokenizerConfigJson(64)), chat_template });
  return { json: tokenizerJson(trainBpe(['the then there'], 262)).replaceAll('<|user|>', '<|a|>'), configJson, source: 'tokenizer.json' };
}

test('a chat template that doubles its text is refused: budget renderedCharacters', async () => {
  const doubles = "{% set ns = namespace(t='xxxxxxxx') %}{% for i in range(21) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}{{ ns.t }}";
  const tokenizer = await startTokenizer(withTemplate(doubles));
  await expect(tokenizer.encode(SAMPLES, 64)).rejects.toMatchObject({
    code: 'limit',
    message: expect.stringContaining('its chat template makes 16777216 characters of one conversation'),
  });
  await tokenizer.close();
});

test('a chat template that never ends is stopped, as rules are: budget tokenizerMs', async () => {
  const spins = '{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}';
  const tokenizer = await startTokenizer({ ...withTemplate(spins), limitMs: 3_000 });
  await expect(tokenizer.encode(SAMPLES, 64)).rejects.toMatchObject({
    code: 'limit',
    message: expect.stringContaining('took longer than 3 s'),
  });
  await tokenizer.close();
});
