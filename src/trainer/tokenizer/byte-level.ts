// GPT-2's alphabet of bytes: every byte is a printable character, so that any text can be tokens.

/**
 * Byte → character: printable Latin-1 stands for itself, the rest for the code points from 256 on.
 */
export const BYTE_CHARACTERS: readonly string[] = byteCharacters();

function byteCharacters(): string[] {
  const itself = (byte: number): boolean => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(itself(byte) ? byte : next++));
}

/**
 * GPT-2's cut of text before merges: contractions, words with the blank before them, numbers, the
 * rest.
 */
export const WORD_PATTERN = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** A word as characters of the byte alphabet. */
export function byteWord(word: string): string {
  let characters = '';
  for (const byte of new TextEncoder().encode(word)) characters += BYTE_CHARACTERS[byte];
  return characters;
}
