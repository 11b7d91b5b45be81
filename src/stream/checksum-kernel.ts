// XXH3-64 by the kernel of assembly/checksum: what is hashed passes through a small memory of its own, a stage at a time.
import { CHECKSUM_WASM } from './checksum-module.js';
import { XXH3_SECRET } from './xxh3.js';

interface ChecksumExports {
  begin(): void;
  blocks(count: number): void;
  finish(rest: number, total: number): bigint;
  shortHash(length: number): bigint;
}

/** assembly/checksum/memory-map.ts. */
const SECRET = 0x500;
const STAGE = 0x640;
/** Stays in the second-level cache; whole blocks of the hash. */
const STAGE_BYTES = 64 * 1024;
const SHORT_BYTES = 240;
const PAGES = 2;

/** A function that hashes; 8 bytes, most significant first. It keeps nothing from call to call. */
export function checksumKernel(): (bytes: Uint8Array) => Uint8Array {
  const memory = new WebAssembly.Memory({ initial: PAGES });
  const code = Uint8Array.from(atob(CHECKSUM_WASM), (character) => character.charCodeAt(0));
  const instance = new WebAssembly.Instance(new WebAssembly.Module(code), { env: { memory } });
  const run = instance.exports as unknown as ChecksumExports;
  const stage = new Uint8Array(memory.buffer, STAGE, STAGE_BYTES);
  new Uint8Array(memory.buffer).set(XXH3_SECRET, SECRET);
  const long = (bytes: Uint8Array): bigint => {
    run.begin();
    let at = 0;
    for (; bytes.length - at > STAGE_BYTES; at += STAGE_BYTES) {
      stage.set(bytes.subarray(at, at + STAGE_BYTES));
      run.blocks(STAGE_BYTES / 1024);
    }
    stage.set(bytes.subarray(at));
    return run.finish(bytes.length - at, bytes.length);
  };
  return (bytes) => {
    let hash: bigint;
    if (bytes.length > SHORT_BYTES) hash = long(bytes);
    else {
      stage.set(bytes);
      hash = run.shortHash(bytes.length);
    }
    const out = new Uint8Array(8);
    new DataView(out.buffer).setBigUint64(0, BigInt.asUintN(64, hash));
    return out;
  };
}
