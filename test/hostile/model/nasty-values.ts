// Bodies that break a schema, or come close to it: a good one changed at one place, cut off, or
// no body at all.
import type { Random } from '../../../src/core/random.js';
import { pack } from '../../../src/frame/pack.js';
import { chance, noise, pick } from './chance.js';

type Value = unknown;

const NUMBERS = [Number.NaN, Infinity, -Infinity, -1, 0, -0, 0.5, 1e308, 5e-324, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, -(2 ** 53)];
const TEXTS = [
  '',
  '__proto__',
  'constructor',
  'toString',
  '../../etc/passwd',
  'a/b',
  '\u202eevil\u202c',
  '\u0000\u0007\u001b[2J\u001b]0;x\u0007',
  '\r\n{"level":"error"}',
  '\ud800',
];
const LENGTHS = [64, 65, 128, 256, 257, 1024, 4097, 8193, 70_000];

function nested(depth: number, leaf: Value = 1): Value {
  let value = leaf;
  for (let i = 0; i < depth; i++) value = i % 2 ? [value] : { a: value };
  return value;
}

function nasty(random: Random): Value {
  switch (random.integer(10)) {
    case 0:
    case 1:
    case 2:
      return pick(random, NUMBERS);
    case 3:
    case 4:
      return pick(random, TEXTS);
    case 5:
      return 'x'.repeat(pick(random, LENGTHS));
    case 6:
      return nested(pick(random, [2, 20, 60, 70, 90]));
    case 7:
      return Array.from({ length: pick(random, [0, 1, 255, 257, 5000]) }, () => 1);
    case 8:
      return JSON.parse(`{${pick(random, ['"__proto__":{"x":1}', '"constructor":1,"toString":2', '"":1', '"hasOwnProperty":0'])}}`);
    default:
      return pick(random, [null, true, false, [], {}, new Uint8Array(8)]);
  }
}

/** A value that differs at one place, which may be its root. */
export function mutated(value: Value, random: Random): Value {
  const isObject = value !== null && typeof value === 'object' && !(value instanceof Uint8Array);
  if (!isObject || chance(random, 0.1)) return nasty(random);
  const keys = Object.keys(value);
  if (Array.isArray(value)) {
    if (keys.length === 0 || chance(random, 0.2)) return [...value, nasty(random)];
    const at = random.integer(keys.length);
    return value.map((item, i) => (i === at ? mutated(item, random) : item));
  }
  if (keys.length === 0 || chance(random, 0.1))
    return { ...value, [pick(random, ['extra', '__proto', 'task', 'kind', 'x'.repeat(100)])]: nasty(random) };
  const key = pick(random, keys);
  const { [key]: old, ...rest } = value as Record<string, Value>;
  return chance(random, 0.15) ? rest : { ...rest, [key]: chance(random, 0.4) ? mutated(old, random) : nasty(random) };
}

/** msgpack of a value that is wrong in some way, or bytes that are no msgpack. */
export function wildBytes(value: Value, random: Random): Uint8Array {
  const good = pack(value);
  switch (random.integer(12)) {
    case 0:
      return good.subarray(0, random.integer(good.length + 1));
    case 1:
      return noise(random, 300);
    case 2:
      return Uint8Array.from({ length: pick(random, [65, 1000, 50_000]) }, (_, i) => (i % 2 ? 0x91 : 0x81)); // maps and arrays that never close
    case 3:
      return Uint8Array.of(...good, ...noise(random, 4), 0xc0);
    case 4:
      return Uint8Array.of(pick(random, [0xdd, 0xdf, 0xdb, 0xc6]), 0xff, 0xff, 0xff, 0xff, ...good.subarray(0, 20));
    case 5: {
      const changed = good.slice();
      if (changed.length > 0) changed[random.integer(changed.length)] = random.integer(256);
      return changed;
    }
    default:
      return packed(mutated(value, random), random);
  }
}

/** The encoder refuses what is nested too deep for it. */
function packed(value: Value, random: Random): Uint8Array {
  try {
    return pack(value);
  } catch {
    return noise(random, 300);
  }
}
