// Texts of an offered model keep everything but the paths of the machine.
import { expect, test } from 'vitest';
import { withoutPaths } from './offered-texts.js';

const cleaned = async (json: object, identify?: (path: string) => Promise<string | undefined>) =>
  JSON.parse((await withoutPaths({ 'config.json': JSON.stringify(json) }, identify))['config.json'] as string) as unknown;

test.each([
  [{ _name_or_path: '/home/alice/models/llama' }, { _name_or_path: 'llama' }],
  [{ _name_or_path: '~/models/llama/' }, { _name_or_path: 'llama' }],
  [{ _name_or_path: '../alice/llama' }, { _name_or_path: 'llama' }],
  [{ _name_or_path: 'data/alice/llama' }, { _name_or_path: 'llama' }],
  [{ tokenizer_file: 'C:\\Users\\alice\\tokenizer.json' }, { tokenizer_file: 'tokenizer.json' }],
  [{ share: '\\\\nas\\alice\\llama' }, { share: 'llama' }],
  [{ url: 'file:///home/alice/llama' }, { url: 'llama' }],
  [{ note: 'trained from /home/alice/x.jsonl, at night' }, { note: 'trained from x.jsonl, at night' }],
  [{ deep: [{ '/srv/alice/map': ['/srv/alice/a.bin'] }] }, { deep: [{ map: ['a.bin'] }] }],
  [{ _name_or_path: '/c/hub/models--org--llama-1b/snapshots/0123456789abcdef0123456789abcdef01234567' }, { _name_or_path: 'org/llama-1b' }],
])('%j leaves as %j', async (json, expected) => {
  expect(await cleaned(json)).toEqual(expected);
});

test('names, addresses and templates stay as they are, to the character', async () => {
  const text =
    '{"_name_or_path":"org/llama-1b",  "eos_token": "</s>", "see": "https://example.org/org/llama", "ratio": "1/2 or a/b", "path": null}';
  expect(await withoutPaths({ 'config.json': text })).toEqual({ 'config.json': text });
});

test('the base of an adapter gets a digest, unless it has a version', async () => {
  const commit = '0123456789abcdef0123456789abcdef01234567';
  const identify = async (path: string) => (path === '/m/llama' ? 'sha256-ab' : undefined);
  const base_model_name_or_path = '/m/llama';
  expect(await cleaned({ base_model_name_or_path }, identify)).toEqual({ base_model_name_or_path: 'llama', revision: 'sha256-ab' });
  expect(await cleaned({ base_model_name_or_path, revision: 'v2' }, identify)).toEqual({
    base_model_name_or_path: 'llama',
    revision: 'v2',
  });
  expect(await cleaned({ base_model_name_or_path: `/h/models--o--m/snapshots/${commit}`, revision: null }, identify)).toEqual({
    base_model_name_or_path: 'o/m',
    revision: commit,
  });
  expect(await cleaned({ base_model_name_or_path: 'o/m', revision: null }, identify)).toEqual({
    base_model_name_or_path: 'o/m',
    revision: null,
  });
});

test.each(['not JSON /home/alice', '["/home/alice"]', 'null'])('%s is refused', async (text) => {
  await expect(withoutPaths({ 'config.json': text })).rejects.toMatchObject({ code: 'trainer' });
});
