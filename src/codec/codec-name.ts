// Names of codecs as people write them in a job or on the command line.
import { FedStreamError } from '../core/errors.js';
import { type Encoding, RAW } from '../tensor/manifest.js';
import type { CodecParameter, CodecRow, CodecTable } from './codec.js';
import { BLOCK_SIZE, encodingOf, fits, isFixed, parameterOf, range, worded } from './codec-parameters.js';

/** The name for no codec: every tensor stays in its own dtype. */
const PLAIN = 'fp32';
const NESTED = '-nested';
/** A number as `String(number)` writes it. */
const NUMBER = /^-?\d{1,16}(\.\d{1,20})?(e-?\d{1,3})?$/;

/** Every name that people may write, without its numbers; `fp32` is the first. */
export function codecNames(codecs: CodecTable): string[] {
  return [PLAIN, ...Object.values(codecs).flatMap(({ name, nested }) => (nested ? [name, name + NESTED] : [name]))];
}

/**
 * Reads a name such as `nf4`, `nf4-nested` or `blockwise8:256`: numbers stand in the order of the
 * row's parameters. Throws `bad-argument`, which lists the names that exist.
 */
export function parseCodecName(text: string, codecs: CodecTable): Encoding {
  const [name = '', ...numbers] = text.split(':');
  if (name === PLAIN && numbers.length === 0) return RAW;
  const nested = name.endsWith(NESTED);
  const row = Object.values(codecs).find((other) => other.name === (nested ? name.slice(0, -NESTED.length) : name));
  if (!row || (nested && !row.nested))
    throw unknown(`there is no codec ${JSON.stringify(text)}; the codecs are ${codecNames(codecs).join(', ')}`);
  if (numbers.length > row.parameters.length) throw unknown(`codec ${JSON.stringify(text)}: ${takes(row)}`);
  const given = new Map(numbers.map((number, index) => numberOf(number, row, row.parameters[index] as CodecParameter, text)));
  return encodingOf(row, nested, (parameter) => given.get(parameter));
}

function numberOf(number: string, row: CodecRow, parameter: CodecParameter, text: string): [string, number] {
  const value = NUMBER.test(number) ? Number(number) : Number.NaN;
  if (fits(parameter, value)) return [parameter.name, value];
  const which =
    parameter.name === BLOCK_SIZE
      ? `blocks of ${row.name} always have ${parameter.default} values`
      : `its ${parameter.name} is ${parameter.default}`;
  const wanted = isFixed(parameter) ? `${which}; say ${row.name}` : takes(row);
  throw unknown(`codec ${JSON.stringify(text)}: ${wanted}`);
}

/** The numbers that may follow the name, for a message. */
function takes({ name, parameters }: CodecRow): string {
  if (parameters.length === 0) return `${name} takes no number`;
  const numbers = parameters.map((parameter) => `${worded(parameter)}, ${range(parameter)}`).join('; ');
  return `behind ${name} may stand ${numbers}: as in ${[name, ...parameters.map((parameter) => parameter.default)].join(':')}`;
}

function unknown(what: string): FedStreamError {
  return new FedStreamError('bad-argument', what);
}

/** The name of an encoding, which `parseCodecName` reads back. */
export function codecLabel(encoding: Encoding, codecs: CodecTable): string {
  const { codec, nested } = encoding;
  if (codec === RAW.codec) return PLAIN;
  const parameters = Object.values(codecs).find(({ name }) => name === codec)?.parameters ?? [];
  const numbers = parameters.map(({ name, default: standard }) => parameterOf(encoding, name) ?? standard);
  while (numbers.length > 0 && numbers.at(-1) === parameters[numbers.length - 1]?.default) numbers.pop();
  return [nested ? codec + NESTED : codec, ...numbers].join(':');
}
