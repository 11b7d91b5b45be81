// Checks the numbers of an encoding by its codec's row, since a peer, a file or a person gave them.
import { FedStreamError } from '../core/errors.js';
import type { Encoding } from '../tensor/manifest.js';
import type { CodecParameter, CodecRow } from './codec.js';

/** The parameter that an encoding holds beside the codec's name. */
export const BLOCK_SIZE = 'blockSize';

/** A parameter's number in an encoding; undefined if it has none. */
export function parameterOf({ blockSize, parameters = {} }: Encoding, name: string): number | undefined {
  if (name === BLOCK_SIZE) return blockSize;
  return Object.hasOwn(parameters, name) ? parameters[name] : undefined;
}

/** The encoding of a row with the given numbers, and the row's defaults for the others. */
export function encodingOf(row: CodecRow, nested: boolean, given: (name: string) => number | undefined): Encoding {
  let blockSize: number | undefined;
  const parameters: Record<string, number> = {};
  for (const { name, default: standard } of row.parameters) {
    const value = given(name) ?? standard;
    if (name === BLOCK_SIZE) blockSize = value;
    else parameters[name] = value;
  }
  return {
    codec: row.name,
    ...(blockSize === undefined ? {} : { blockSize }),
    ...(nested ? { nested } : {}),
    ...(Object.keys(parameters).length === 0 ? {} : { parameters }),
  };
}

/**
 * The encoding with all of its numbers. Throws `bad-manifest` if the codec has no such number, or
 * does not take its value.
 */
export function checkedEncoding(row: CodecRow, encoding: Encoding): Encoding {
  const { codec, blockSize, nested = false, parameters = {} } = encoding;
  const names = new Set(row.parameters.map(({ name }) => name));
  if (blockSize !== undefined && !names.has(BLOCK_SIZE)) throw lies(`${codec} has no block size ${blockSize}`);
  if (nested && !row.nested) throw lies(`${codec} has no nested scales`);
  for (const name of Object.keys(parameters))
    if (name === BLOCK_SIZE || !names.has(name)) throw lies(`${codec} has no parameter ${JSON.stringify(name)}`);
  for (const parameter of row.parameters) {
    const value = parameterOf(encoding, parameter.name);
    if (value === undefined || fits(parameter, value)) continue;
    if (isFixed(parameter)) throw lies(`${codec} has no ${worded(parameter)} ${value}`);
    throw lies(`${worded(parameter)} ${value} of ${codec} is not ${range(parameter)}`);
  }
  return encodingOf(row, nested, (name) => parameterOf(encoding, name));
}

function lies(what: string): FedStreamError {
  return new FedStreamError('bad-manifest', what);
}

/** True where the number is part of the codec's rule. */
export function isFixed({ smallest, largest }: CodecParameter): boolean {
  return smallest === largest;
}

/** True if the parameter takes this value. */
export function fits({ smallest, largest, kind }: CodecParameter, value: number): boolean {
  if (!(value >= smallest && value <= largest)) return false;
  return kind === 'real' || (Number.isInteger(value) && (kind === 'whole' || Number.isInteger(Math.log2(value))));
}

/** A parameter's name as people read it. */
export function worded({ name }: CodecParameter): string {
  return name === BLOCK_SIZE ? 'block size' : name;
}

/** The numbers that a parameter takes, in words. */
export function range({ smallest, largest, kind }: CodecParameter): string {
  return `a ${kind === 'real' ? 'number' : kind === 'whole' ? 'whole number' : kind} from ${smallest} to ${largest}`;
}
