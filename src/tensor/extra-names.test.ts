// Names of extras: accepted names, refused names, and the messages of a refusal.
import { expect, test } from 'vitest';
import { checkExtraNames, MAX_EXTRAS } from './extra-names.js';

test('names of letters, digits, dots, dashes and underscores are taken, up to 64 of these and 16 names', () => {
  const names = ['control', 'a.b-c_D9', '0', 'x'.repeat(64), 'constructor'];
  expect(() => checkExtraNames(names, 'it')).not.toThrow();
  expect(() => checkExtraNames([], 'it')).not.toThrow();
  const most = Array.from({ length: MAX_EXTRAS }, (_, index) => `e${index}`);
  expect(() => checkExtraNames(most, 'it')).not.toThrow();
  expect(() => checkExtraNames([...most, 'one'], 'the task')).toThrow('the task has 17 extras; at most 16 travel');
});

test.each(['', '.', '..', '-x', '_x', '__proto__', 'a/b', 'a\\b', 'a b', 'ä', 'a\n', 'x'.repeat(65)])('%j is refused', (name) => {
  expect(() => checkExtraNames(['fine', name], 'the program', 'trainer')).toThrow(
    expect.objectContaining({ code: 'trainer', message: expect.stringMatching(/^the program has an extra named ".*1 to 64 letters/s) }),
  );
});

test('the name of the model, and one name twice, are refused', () => {
  for (const name of ['model', 'Model']) expect(() => checkExtraNames([name], 'it')).toThrow("which is the model's own name");
  expect(() => checkExtraNames(['control', 'x', 'Control'], 'it')).toThrow('it has two extras named Control');
});
