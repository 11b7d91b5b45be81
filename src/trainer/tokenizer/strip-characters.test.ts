// Templates strip the characters that they name, with the results of Python's str.strip.
import { Template } from '@huggingface/jinja';
import { expect, test } from 'vitest';
import { callStripCharacters, STRIP_CHARACTERS, stripCharacters } from './strip-characters.js';

function rendered(text: string, values: object): string {
  const template = new Template(text);
  callStripCharacters(template.parsed);
  return template.render({ ...values, [STRIP_CHARACTERS]: stripCharacters });
}

test.each([
  ["{{ x.strip('\\n') }}", '\n a \n', ' a '],
  ["{{ x.lstrip('\\n') }}", '\n a \n', ' a \n'],
  ["{{ x.rstrip('\\n') }}", '\n a \n', '\n a '],
  ["{{ x.strip('ab') }}", 'abcab', 'c'],
  ["{{ x.strip('ab') }}", 'abab', ''],
  ["{{ x.strip('') }}", ' a ', ' a '],
  ["{{ x.strip('😀') }}", '😀a😀', 'a'],
  ['{{ x.strip(none) }}', '\n a \n', 'a'],
  ['{{ x.lstrip(none) }}', '\n a \n', 'a \n'],
  ['{{ x.rstrip(none) }}', '\n a \n', '\n a'],
  ['{{ x.strip() }}', '\n a \n', 'a'],
  ["{{ x.split('|')[0].rstrip('\\n').split('-')[-1].lstrip('\\n') }}", 'q-\n a\n|b', ' a'],
  [
    "{% macro m(y) %}{% if y %}{{ y.strip('\\n') }}{% endif %}{% endmacro %}{% for z in [x] %}{{ m(z) + '.' }}{% endfor %}",
    '\n a\n',
    ' a.',
  ],
])('%s of %j', (template, x, result) => {
  expect(rendered(template, { x })).toBe(result);
});

test('a strip of something that is no text, or with something else than characters, is an error', () => {
  expect(() => rendered("{{ x.strip('a') }}", { x: 1 })).toThrow('strip() of something that is no text');
  expect(() => rendered('{{ x.lstrip(1) }}', { x: 'a' })).toThrow('lstrip() takes characters');
});
