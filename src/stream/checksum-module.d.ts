// Made by the build from assembly/checksum: the kernel as base64, so that it is where the code is, in Node and in a page.

export const CHECKSUM_WASM: string;
