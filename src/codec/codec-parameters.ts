// The numbers of an encoding, checked by the row of its codec: an encoding may come from a peer, a file or a person.
import { FedStreamError } from '../core/errors.js';
import type { Encoding } from '../tensor/manifest.js';
import type { CodecParameter, CodecRow } from './codec.js';

/** The parameter that an encoding holds beside the codec's name. */
export const BLOCK_SIZE = 'blockSize';

/** A parameter's number in an encoding; undefined where it has none. */
export function parameterOf({ blockSize, parameters = {} }: Encoding, name: string): number | undefined {
  if (name === BLOCK_SIZE) return blockSize;
  return Object.hasOwn(parameters, name) ? parameters[name] : undefined;
}

/** An encoding of a row with these numbers, the others being the row's defaults. */
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

/** The encoding with every number that it has; `bad-manifest` where the codec has no such number, or not of that size. */
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

/** True where a number is one that the parameter takes. */
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
