// The check value that catalogues of CRCs give for XMODEM.
import { expect, test } from 'vitest';
import { crc16 } from './crc16.js';

test('crc16', () => {
  expect(crc16(new TextEncoder().encode('123456789'))).toBe(0x31c3);
  expect(crc16(new Uint8Array(0))).toBe(0);
});
