// The checksum kernel as base64, made by the build from assembly/checksum.

/** The kernel's bytes in base64, inside the code, so that Node and a page load it alike. */
export const CHECKSUM_WASM: string;
