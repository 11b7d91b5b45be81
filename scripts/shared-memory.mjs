// A WebAssembly module made for memory that threads share: nothing but the import of the memory differs.
const HEADER_BYTES = 8;
const IMPORTS = 2;
const MEMORY = 2;
/** Flags of a memory's limits: a minimum alone; a maximum, and shared. */
const UNSHARED = 0;
const SHARED = 3;

/**
 * The module `wasm`, whose one import is a memory with a minimum, with that memory shared and of at
 * most `maximumPages` of 64 KiB. Throws where the module is another.
 */
export function withSharedMemory(wasm, maximumPages) {
  const { sizeAt, start, end } = sectionOf(wasm, IMPORTS);
  const body = wasm.subarray(start, end);
  const reader = { bytes: body, at: 0 };
  const imports = readNumber(reader);
  for (let name = 0; name < 2; name++) {
    const bytes = readNumber(reader);
    reader.at += bytes;
  }
  if (imports !== 1 || body[reader.at] !== MEMORY || body[reader.at + 1] !== UNSHARED)
    throw new Error('the module imports something else than one memory that is not shared');
  const minimum = body.subarray(reader.at + 2);
  const changed = Buffer.concat([body.subarray(0, reader.at + 1), Buffer.from([SHARED]), minimum, encodeNumber(maximumPages)]);
  return Buffer.concat([wasm.subarray(0, sizeAt), encodeNumber(changed.length), changed, wasm.subarray(end)]);
}

/** Where the section of that kind has its size, its first byte and its end. */
function sectionOf(wasm, kind) {
  const reader = { bytes: wasm, at: HEADER_BYTES };
  while (reader.at < wasm.length) {
    const found = wasm[reader.at++];
    const sizeAt = reader.at;
    const size = readNumber(reader);
    if (found === kind) return { sizeAt, start: reader.at, end: reader.at + size };
    reader.at += size;
  }
  throw new Error('the module imports nothing');
}

/** An unsigned LEB128 number. */
function readNumber(reader) {
  let number = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = reader.bytes[reader.at++];
    number += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return number;
  }
}

function encodeNumber(number) {
  const bytes = [];
  for (let left = number; ; left = Math.floor(left / 128)) {
    if (left < 128) return Buffer.from([...bytes, left]);
    bytes.push((left % 128) + 128);
  }
}
