// Tells kinds of text apart: pointers and pages that came in the place of a file, JSON, UTF-16.
import type { FileKind } from './file-kind-name.js';

const LFS = /^version https:\/\/(?:git-lfs\.github\.com|hawser\.github\.com)\/spec\//;
const XET = /^# xet version /;
const ANNEX = /^(?:\.\.\/)*(?:\.git)?\/annex\/objects\//;
const HTML = /^(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|body|title|script)\b/is;
/** Fields of the answers that servers give in the place of a file: those that say what is wrong, and others. */
const ERROR_FIELDS = ['error', 'errors', 'error_message', 'errorMessage', 'message', 'detail'];
const OTHER_FIELDS = [
  'code',
  'documentation_url',
  'path',
  'requestId',
  'request_id',
  'status',
  'statusCode',
  'success',
  'timestamp',
  'type',
];
const SHOWN_CHARACTERS = 120;

/** The kind of a file of text whose first bytes are given; undefined where they are no text. */
export function textKind(bytes: Uint8Array, sizeBytes: number): FileKind | undefined {
  const wide = utf16Kind(bytes);
  if (wide) return wide;
  const text = utf8(bytes);
  if (text === undefined) return undefined;
  const trimmed = text.replace(/^\uFEFF/, '').trimStart();
  const pointer = pointerKind(trimmed);
  if (pointer) return pointer;
  if (HTML.test(trimmed)) return { name: 'html', looksLike: `a web page (HTML)${titled(trimmed)}` };
  if (trimmed.startsWith('<?xml') || /^<Error>/.test(trimmed))
    return { name: 'xml', looksLike: 'XML, as a storage server answers in the place of a file' };
  const failure = sizeBytes <= bytes.length ? errorText(trimmed) : undefined;
  if (failure !== undefined) return { name: 'json-error', looksLike: `an error message in the place of a file (${shown(failure)})` };
  if (text.startsWith('\uFEFF')) return { name: 'utf-8-bom', looksLike: 'text in UTF-8 with a byte order mark' };
  if (/^[[{]/.test(trimmed)) return { name: 'json', looksLike: 'JSON' };
  if (isTable(trimmed)) return { name: 'csv', looksLike: 'a table as text (CSV or TSV)' };
  return { name: 'text', looksLike: `text that begins ${shown(trimmed)}` };
}

function pointerKind(text: string): FileKind | undefined {
  if (LFS.test(text)) {
    const size = /^size (\d{1,15})$/m.exec(text)?.[1];
    return { name: 'git-lfs', looksLike: `a Git LFS pointer${size === undefined ? '' : ` to ${size} bytes that were not fetched`}` };
  }
  if (XET.test(text)) return { name: 'git-lfs', looksLike: 'a pointer of Git Xet' };
  return ANNEX.test(text) ? { name: 'git-annex', looksLike: 'a pointer of git-annex' } : undefined;
}

/** Text in UTF-16 without a mark: every other byte of mostly ASCII is 0. */
function utf16Kind(bytes: Uint8Array): FileKind | undefined {
  const pairs = Math.min(bytes.length >> 1, 64);
  if (pairs < 2) return undefined;
  let low = 0;
  let high = 0;
  for (let i = 0; i < pairs; i++) {
    const [first, second] = [bytes[2 * i] as number, bytes[2 * i + 1] as number];
    if (isAscii(first) && second === 0) low++;
    if (first === 0 && isAscii(second)) high++;
  }
  if (low >= pairs * 0.9) return { name: 'utf-16le', looksLike: 'text in UTF-16 without a byte order mark' };
  if (high >= pairs * 0.9) return { name: 'utf-16be', looksLike: 'text in UTF-16 (big-endian) without a byte order mark' };
  return undefined;
}

function isAscii(byte: number): boolean {
  return (byte >= 0x20 && byte < 0x7f) || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** The text, without a character that the end of the bytes cuts; undefined where it is not UTF-8. */
function utf8(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, { stream: true });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a control character tells that it is no text.
    return /[\0-\x08\x0e-\x1a]/.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** What a whole JSON text says went wrong, if that is all it says. */
function errorText(text: string): string | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    const fields = JSON.parse(text) as Record<string, unknown>;
    if (!Object.keys(fields).every((name) => ERROR_FIELDS.includes(name) || OTHER_FIELDS.includes(name))) return undefined;
    const field = ERROR_FIELDS.find((name) => Object.hasOwn(fields, name));
    const value = field === undefined ? undefined : fields[field];
    if (value === undefined || value === null || value === false) return undefined;
    return typeof value === 'string' ? value : JSON.stringify(value);
  } catch {
    return undefined;
  }
}

function titled(text: string): string {
  const title = /<title>([^<]{1,200})<\/title>/i.exec(text)?.[1]?.trim();
  return title ? `, titled ${shown(title)}` : '';
}

/** Two lines with as many commas, tabs or semicolons each. */
function isTable(text: string): boolean {
  const [head = '', next = ''] = text.split(/\r?\n/, 2);
  return [',', '\t', ';'].some((mark) => head.includes(mark) && head.split(mark).length === next.split(mark).length);
}

function shown(text: string): string {
  const line = text.trim().split(/\r?\n/, 1)[0] as string;
  return JSON.stringify(line.length > SHOWN_CHARACTERS ? `${line.slice(0, SHOWN_CHARACTERS)}…` : line);
}
