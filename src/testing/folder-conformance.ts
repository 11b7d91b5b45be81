// The suite that every folder passes: what `Folder` and its files promise (core/storage.ts).
import type { Folder } from '../core/storage.js';
import { readText, writeText } from '../core/storage-text.js';
import { check, equal, type RegisterTest, rejects, sameBytes, seededBytes } from './checks.js';

const HOSTILE_NAMES = [
  '',
  '/etc/passwd',
  '..',
  '../x',
  'a/../../x',
  'a//b',
  './a',
  'a/',
  'a\\b',
  'a\u0000b',
  'C:x',
  'a\nb',
  'x'.repeat(2000),
];

type FolderTest = (make: () => Folder) => Promise<void>;

/** Registers every test under `Folder <name>: …`; `make` gives a new, empty folder each time. */
export function testFolder(name: string, make: () => Folder, test: RegisterTest): void {
  for (const [title, run] of Object.entries(TESTS)) test(`Folder ${name}: ${title}`, () => run(make));
}

const TESTS: Readonly<Record<string, FolderTest>> = {
  'gives back what was written, at any position': async (make) => {
    const folder = make();
    const file = await folder.create('a/b/c.bin');
    const source = Uint8Array.of(1, 2, 3, 4);
    await file.write(source, 0);
    source.fill(99);
    await file.write(Uint8Array.of(8, 9), 6);
    await file.write(Uint8Array.of(7), 1);
    await file.sync();
    await file.close();
    await holds(folder, 'a/b/c.bin', [1, 7, 3, 4, 0, 0, 8, 9]);
    equal(await folder.sizeBytes('a/b/c.bin'), 8, 'the size');
    const reader = await folder.open('a/b/c.bin');
    const into = new Uint8Array(2);
    await reader.read(into, 2);
    same(into, [3, 4], 'two bytes from the middle');
    await reader.close();
  },

  'refuses to read beyond the end or before the beginning': async (make) => {
    const folder = make();
    await put(folder, 'x', [1, 2, 3]);
    const file = await folder.open('x');
    const read = async (count: number, position: number): Promise<void> => file.read(new Uint8Array(count), position);
    const { message } = await rejects(read(2, 2), ['io'], 'reading beyond the end');
    check(message.includes('x ends at 3'), `the message does not say where the file ends: ${message}`);
    await rejects(read(1, -1), ['io'], 'reading before the beginning');
    await read(0, 3);
    await file.close();
  },

  'moves 3 MiB through one call': async (make) => {
    const folder = make();
    const large = seededBytes(1, 3 * 2 ** 20);
    const file = await folder.create('large');
    await file.write(large, 0);
    await file.close();
    const reader = await folder.open('large');
    const back = new Uint8Array(large.length);
    await reader.read(back, 0);
    await reader.close();
    check(sameBytes(back, large), 'the bytes were changed');
  },

  'create empties an old file, or keeps it when asked': async (make) => {
    const folder = make();
    await put(folder, 'x', [1, 2, 3]);
    const kept = await folder.create('x', { keep: true });
    await kept.write(Uint8Array.of(9), 3);
    await kept.close();
    await holds(folder, 'x', [1, 2, 3, 9]);
    await (await folder.create('x')).close();
    await holds(folder, 'x', []);
    await (await folder.create('new', { keep: true })).close();
    equal(await folder.sizeBytes('new'), 0, 'the size of a new file');
  },

  'rename replaces the target whole, and makes the folders above it': async (make) => {
    const folder = make();
    await put(folder, 'from', [1]);
    await put(folder, 'to', [2, 2]);
    await folder.rename('from', 'to');
    await holds(folder, 'to', [1]);
    equal(await folder.sizeBytes('from'), undefined, 'the old name');
    await folder.rename('to', 'deep/er/to');
    await lists(folder, undefined, ['deep']);
    const { message } = await rejects(folder.rename('missing', 'x'), ['not-found'], 'renaming a missing file');
    check(message.includes('missing'), `the message does not name the file: ${message}`);
  },

  'remove takes a folder with all in it, and does not mind a missing one': async (make) => {
    const folder = make();
    for (const name of ['a/x', 'a/b/y', 'ab']) await put(folder, name, [1]);
    await folder.remove('a');
    await lists(folder, undefined, ['ab']);
    await folder.remove('ab');
    await folder.remove('ab');
    await lists(folder, undefined, []);
  },

  'lists names in order, one level deep': async (make) => {
    const folder = make();
    await lists(folder, undefined, []);
    for (const name of ['b', 'a10', 'a2', 'c/d/e', 'c/f', 'B']) await put(folder, name, [0]);
    await lists(folder, undefined, ['B', 'a10', 'a2', 'b', 'c']);
    await lists(folder, 'c', ['d', 'f']);
    await lists(folder, 'missing', []);
    await lists(folder, 'b', []);
  },

  'says what is missing, by its name': async (make) => {
    const folder = make();
    await put(folder, 'dir/file', [0]);
    for (const name of ['none', 'no/such', 'dir/file/x']) {
      const { message } = await rejects(folder.open(name), ['not-found'], `opening ${name}`);
      check(message.includes(`/${name}`), `the message does not name the file: ${message}`);
    }
    equal(await folder.sizeBytes('none'), undefined, 'the size of a missing file');
    equal(await folder.sizeBytes('dir'), undefined, 'the size of a folder');
  },

  'link gives a file a second name, and stamp tells that somebody wrote to it': async (make) => {
    const folder = make();
    if (!folder.link || !folder.stamp) return;
    const other = folder.folder('other');
    await put(folder, 'x', [1, 2]);
    await put(other, 'y', [9, 9, 9]);
    const before = await folder.stamp('x');
    check(await folder.link('x', other, 'y'), 'a folder inside the same one cannot have the file');
    await holds(other, 'y', [1, 2]);
    equal(await folder.stamp('x'), before, 'the stamp of a file that nobody wrote to');
    const file = await other.create('y', { keep: true });
    await file.write(Uint8Array.of(7), 0);
    await file.close();
    await holds(folder, 'x', [7, 2]);
    check((await folder.stamp('x')) !== before, 'the stamp does not tell of a write through the other name');
    await other.remove('y');
    await holds(folder, 'x', [7, 2]);
    equal(await folder.stamp('missing'), undefined, 'the stamp of a missing file');
    await rejects(folder.link('missing', other, 'z'), ['not-found'], 'linking a missing file');
    await rejects(folder.link('x', other, '../z'), ['bad-argument'], 'linking out of the folder');
  },

  'a folder below sees its own names only': async (make) => {
    const folder = make();
    const below = folder.folder('sites').folder('one');
    await put(below, 'x', [5]);
    await holds(folder, 'sites/one/x', [5]);
    await lists(below, undefined, ['x']);
    await rejects(below.open('../../x'), ['bad-argument'], 'climbing out');
    equal(below.label, `${folder.label}/sites/one`, 'the label');
  },

  'refuses hostile names everywhere, and changes nothing': async (make) => {
    for (const name of HOSTILE_NAMES) {
      const folder = make();
      await put(folder, 'x', [1]);
      const calls: Record<string, () => Promise<unknown>> = {
        open: () => folder.open(name),
        create: () => folder.create(name),
        'rename to': () => folder.rename('x', name),
        'rename from': () => folder.rename(name, 'y'),
        remove: () => folder.remove(name),
        sizeBytes: () => folder.sizeBytes(name),
        list: () => folder.list(name),
        folder: async () => folder.folder(name),
      };
      for (const [call, run] of Object.entries(calls)) await rejects(run(), ['bad-argument'], `${call} ${JSON.stringify(name)}`);
      await lists(folder, undefined, ['x']);
    }
  },

  'close may be called twice': async (make) => {
    const folder = make();
    const file = await folder.create('x');
    await file.close();
    await file.close();
    const reader = await folder.open('x');
    await reader.close();
    await reader.close();
  },

  'small texts are written whole': async (make) => {
    const folder = make();
    await writeText(folder, 'state/job.json', '{"name": "ä"}');
    await writeText(folder, 'state/job.json', '{}');
    equal(await readText(folder, 'state/job.json'), '{}', 'the text');
    await lists(folder, 'state', ['job.json']);
  },
};

async function put(folder: Folder, name: string, bytes: readonly number[]): Promise<void> {
  const file = await folder.create(name);
  await file.write(Uint8Array.from(bytes), 0);
  await file.sync();
  await file.close();
}

async function holds(folder: Folder, name: string, expected: readonly number[]): Promise<void> {
  const file = await folder.open(name);
  const into = new Uint8Array(file.sizeBytes);
  await file.read(into, 0);
  await file.close();
  same(into, expected, name);
}

async function lists(folder: Folder, name: string | undefined, expected: readonly string[]): Promise<void> {
  equal(JSON.stringify(await folder.list(name)), JSON.stringify(expected), `the list of ${name ?? 'the folder'}`);
}

function same(actual: Uint8Array, expected: readonly number[], what: string): void {
  equal(String([...actual]), String(expected), what);
}
