// Writes small GGUF files, true ones and ones that lie.

/** A field's value: a count (u32), a float, a flag, a text, or a list of texts or of i32. */
export type Value =
  | number
  | boolean
  | string
  | { readonly float: number }
  | readonly string[]
  | readonly number[]
  | { readonly raw: readonly Uint8Array[] };

export interface TensorBytes {
  readonly name: string;
  /** As GGUF has it: the innermost side first. */
  readonly sides: readonly number[];
  readonly type: number;
  readonly bytes: Uint8Array;
  /** Where it says that it lies; by default where it does. */
  readonly offset?: number;
}

export interface GgufBytes {
  readonly version?: number;
  readonly fields?: Readonly<Record<string, Value>>;
  readonly tensors?: readonly TensorBytes[];
  /** Counts in the header that lie. */
  readonly claims?: { readonly tensors?: bigint; readonly fields?: bigint };
}

export const u32 = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);
export const u64 = (value: bigint | number) => new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
const utf8 = (text: string) => new TextEncoder().encode(text);
export const text = (value: string) => [u64(utf8(value).length), utf8(value)];

function valueBytes(value: Value): Uint8Array[] {
  if (typeof value === 'string') return [u32(8), ...text(value)];
  if (typeof value === 'boolean') return [u32(7), Uint8Array.of(value ? 1 : 0)];
  if (typeof value === 'number') return [u32(4), u32(value)];
  if ('raw' in value) return [...value.raw];
  if ('float' in value) return [u32(6), new Uint8Array(Float32Array.of(value.float).buffer)];
  const isTexts = typeof value[0] === 'string';
  const items = value.flatMap((item) => (typeof item === 'string' ? text(item) : [new Uint8Array(Int32Array.of(item).buffer)]));
  return [u32(9), u32(isTexts ? 8 : 5), u64(value.length), ...items];
}

/** The bytes of a file. */
export function ggufBytes({ version = 3, fields = {}, tensors = [], claims = {} }: GgufBytes): Uint8Array {
  const parts: Uint8Array[] = [
    utf8('GGUF'),
    u32(version),
    u64(claims.tensors ?? tensors.length),
    u64(claims.fields ?? Object.keys(fields).length),
  ];
  for (const [key, value] of Object.entries(fields)) parts.push(...text(key), ...valueBytes(value));
  let at = 0;
  for (const { name, sides, type, bytes, offset } of tensors) {
    parts.push(...text(name), u32(sides.length), ...sides.map(u64), u32(type), u64(offset ?? at));
    at = Math.ceil((at + bytes.length) / 32) * 32;
  }
  const header = Buffer.concat(parts);
  const padded: Uint8Array[] = [header, new Uint8Array((32 - (header.length % 32)) % 32)];
  for (const { bytes } of tensors) padded.push(bytes, new Uint8Array((32 - (bytes.length % 32)) % 32));
  return Buffer.concat(padded);
}

/** A tensor of float32. */
export function f32(name: string, sides: readonly number[], values: readonly number[] | Float32Array): TensorBytes {
  return { name, sides, type: 0, bytes: new Uint8Array(Float32Array.from(values).buffer) };
}
