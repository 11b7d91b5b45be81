// A state dict in memory, in tensors of 64 MiB, to a coded message in memory, checksums and digest
// included, and back into the same tensors: CODEC MIB. The same work as nvflare/filters.py.
import { decodeModel, encodeModel } from '../../dist/codec/quantize.js';
import { memoryFolder } from '../../dist/core/memory-folder.js';
import { encodingByPolicy } from '../../dist/filter/policy.js';
import { nodeCodecs } from '../../dist/node/codec/codecs.js';
import { peakRssBytes } from '../../dist/node/process/memory.js';
import { memoryStateDict } from '../../dist/tensor/memory-state-dict.js';
import { openSpool, writeSpool } from '../../dist/transfer/spool.js';

const [codec, mib] = [process.argv[2], Number(process.argv[3])];
const shape = [8192, 2048];
const tensors = Array.from({ length: mib / 64 }, (_, i) => ({ name: `layer.${i}`, dtype: 'F32', shape, data: valuesOf(i + 1) }));

const beforeBytes = peakRssBytes();
const codecs = nodeCodecs();
const folder = memoryFolder();
const beganMs = performance.now();
await writeSpool(encodeModel(memoryStateDict(tensors), encodingByPolicy(codec, codecs), codecs), codecs, folder, 'spool', {
  durable: false,
});
const middleMs = performance.now();
let tensor = 0;
let done = 0;
for await (const { bytes } of decodeModel(await openSpool(folder, 'spool', codecs), codecs).chunks()) {
  const { data } = tensors[tensor];
  new Uint8Array(data.buffer).set(bytes, done);
  done += bytes.length;
  if (done < data.byteLength) continue;
  tensor++;
  done = 0;
}
const endedMs = performance.now();
if (tensor !== tensors.length) throw new Error(`only ${tensor} of ${tensors.length} tensors came back`);
const moreMiB = Math.round((peakRssBytes() - beforeBytes) / 2 ** 20);
console.log(JSON.stringify({ encode: (middleMs - beganMs) / 1000, decode: (endedMs - middleMs) / 1000, moreMiB }));
process.exit(0);

function valuesOf(seed) {
  const values = new Float32Array(shape[0] * shape[1]);
  for (let i = 0, state = seed; i < values.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    values[i] = (state / 2 ** 31) * 0.04;
  }
  return values;
}
