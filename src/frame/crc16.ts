// CRC-16/XMODEM, the check of a frame's prefix and header.

/**
 * The polynomial x^16 + x^12 + x^5 + 1, most significant bit first, starting from 0. It finds all
 * damage of one or two bits, and all but one in 65,536 of other damage.
 */
const POLYNOMIAL = 0x1021;

const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ POLYNOMIAL : crc << 1;
  return crc;
});

/** The CRC of bytes that follow others, whose CRC is `before`. */
export function crc16(bytes: Uint8Array, before = 0): number {
  let crc = before;
  for (let i = 0; i < bytes.length; i++) crc = step(crc, bytes[i] as number);
  return crc;
}

/** The CRC as if the two bytes at `at` were zero. */
export function crc16Without(bytes: Uint8Array, at: number): number {
  let crc = 0;
  for (let i = 0; i < bytes.length; i++) crc = step(crc, i === at || i === at + 1 ? 0 : (bytes[i] as number));
  return crc;
}

function step(crc: number, byte: number): number {
  return ((crc << 8) ^ (TABLE[(crc >>> 8) ^ byte] as number)) & 0xffff;
}
