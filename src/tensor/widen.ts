// Converts raw F32, F16 and BF16 bytes to float32 values and back, in the caller's buffers.
import { FedStreamError } from '../core/errors.js';
import { narrowBf16, widenBf16 } from './bfloat16.js';
import { DTYPES, type Dtype } from './dtype.js';
import { narrowF16, widenF16 } from './float16.js';

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/**
 * Widens raw bytes (little-endian) into the front of `into`, and returns that part; it is never a
 * view of `bytes`.
 */
export function widenInto(dtype: Dtype, bytes: Uint8Array, into: Float32Array): Float32Array {
  const elements = (bytes.length * 8) / DTYPES[dtype].bits;
  if (!Number.isInteger(elements)) throw new FedStreamError('bad-manifest', `${bytes.length} bytes are no whole number of ${dtype}`);
  const values = into.subarray(0, elements);
  if (values.length !== elements) throw new FedStreamError('internal', `room for ${into.length} values, ${elements} are needed`);
  if (dtype === 'F32') {
    requireLittleEndian();
    new Uint8Array(values.buffer, values.byteOffset, bytes.length).set(bytes);
    return values;
  }
  const widen = dtype === 'F16' ? widenF16 : dtype === 'BF16' ? widenBf16 : undefined;
  if (!widen) throw new FedStreamError('internal', `${dtype} is not widened to float32`);
  for (let i = 0, at = 0; i < elements; i++, at += 2) values[i] = widen((bytes[at] as number) | ((bytes[at + 1] as number) << 8));
  return values;
}

/**
 * Narrows float32 values to raw bytes of the dtype, to nearest even, in the front of `into`;
 * returns that part.
 */
export function narrowInto(dtype: Dtype, values: Float32Array, into: Uint8Array): Uint8Array {
  const bytes = into.subarray(0, (values.length * DTYPES[dtype].bits) / 8);
  if (dtype === 'F32') {
    requireLittleEndian();
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return bytes;
  }
  const narrow = dtype === 'F16' ? narrowF16 : dtype === 'BF16' ? narrowBf16 : undefined;
  if (!narrow) throw new FedStreamError('internal', `${dtype} is not narrowed from float32`);
  for (let i = 0, at = 0; i < values.length; i++, at += 2) {
    const bits = narrow(values[i] as number);
    bytes[at] = bits & 0xff;
    bytes[at + 1] = bits >>> 8;
  }
  return bytes;
}

function requireLittleEndian(): void {
  if (!LITTLE_ENDIAN) throw new FedStreamError('unsupported', 'this machine is big-endian; FedStream needs a little-endian one');
}
