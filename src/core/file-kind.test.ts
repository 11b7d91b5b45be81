// Each kind is told from bytes as the program that makes it writes them.
import { expect, test } from 'vitest';
import { fileKind } from './file-kind.js';

const latin = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const utf8 = (text: string) => new TextEncoder().encode(text);
const utf16 = (text: string) =>
  Uint8Array.from([...text].flatMap((character) => [character.charCodeAt(0) & 255, character.charCodeAt(0) >> 8]));
const zip = (name: string) => latin(`PK\x03\x04${'\0'.repeat(22)}${String.fromCharCode(name.length)}\0\0\0${name}`);
const tar = () => {
  const bytes = new Uint8Array(512);
  bytes.set(latin('model.safetensors'));
  bytes.set(latin('ustar'), 257);
  return bytes;
};

const POINTER = `version https://git-lfs.github.com/spec/v1\noid sha256:${'a'.repeat(64)}\nsize 2471645608\n`;

test.each<[string, Uint8Array, RegExp]>([
  ['empty', new Uint8Array(0), /an empty file/],
  ['git-lfs', utf8(POINTER), /a Git LFS pointer to 2471645608 bytes that were not fetched/],
  ['git-lfs', utf8(POINTER.replaceAll('\n', '\r\n')), /Git LFS/],
  ['git-lfs', utf8('# xet version 0\nfilesize = 1\n'), /Xet/],
  ['git-annex', utf8('/annex/objects/SHA256E-s1--a.safetensors\n'), /git-annex/],
  ['html', utf8('\n  <!DOCTYPE html><html><head><title>401 Client Error</title></head></html>'), /titled "401 Client Error"/],
  ['html', utf8('<html lang="en">'), /a web page/],
  ['xml', utf8('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'), /XML/],
  ['json-error', utf8('{"error":"Repository not found"}'), /an error message .* \("Repository not found"\)/],
  ['json-error', utf8('{"message":"Not Found","documentation_url":"https://docs.github.com","status":"404"}'), /Not Found/],
  ['json', utf8('{"error":"x","prompt":"a","completion":"b"}'), /^JSON$/],
  ['json', utf8('{"prompt":"a","completion":"b"}\n{"prompt":"c","completion":"d"}'), /^JSON$/],
  ['json', utf8('[{"a":1}]'), /^JSON$/],
  ['text', utf8('Entry not found'), /^text that begins "Entry not found"$/],
  ['csv', utf8('prompt,answer\na,b\n'), /CSV/],
  ['utf-8-bom', utf8('\uFEFF{"prompt":"a"}\n{}'), /byte order mark/],
  ['utf-16le', utf16('\uFEFF{"prompt":"a"}'), /UTF-16/],
  ['utf-16le', utf16('{"prompt":"a"}'), /without a byte order mark/],
  ['utf-16be', latin('\xfe\xff\0{'), /big-endian/],
  ['utf-16be', latin('\0{\0"\0a\0"'), /big-endian/],
  ['gzip', latin('\x1f\x8b\x08\0\0\0'), /gzip/],
  ['zstd', latin('\x28\xb5\x2f\xfd\x24'), /Zstandard/],
  ['xz', latin('\xfd7zXZ\0\0'), /xz/],
  ['bzip2', latin('BZh91AY'), /bzip2/],
  ['parquet', latin('PAR1\x15\x04'), /Parquet/],
  ['arrow', latin('ARROW1\0\0'), /Arrow/],
  ['arrow', latin('\xff\xff\xff\xff\x90\x01\0\0'), /datasets/],
  ['torch-zip', zip('archive/data.pkl'), /PyTorch/],
  ['numpy-zip', zip('w.npy'), /npz/],
  ['excel', zip('[Content_Types].xml'), /Excel/],
  ['keras', zip('metadata.json'), /Keras/],
  ['zip', zip('model/config.json'), /ZIP/],
  ['tar', tar(), /TAR/],
  ['gguf', latin('GGUF\x03\0\0\0'), /GGUF/],
  ['ggml', latin('tjgg\x03\0\0\0'), /GGML/],
  ['pickle', latin('\x80\x04\x95\x10'), /pickle/],
  ['torch', latin('\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e'), /old PyTorch/],
  ['numpy', latin('\x93NUMPY\x01\0'), /\.npy/],
  ['hdf5', latin('\x89HDF\r\n\x1a\n'), /HDF5/],
  ['flax', latin('\x82\xa6params\x81'), /Flax/],
  ['flax', latin('\xde\0\x10\xa6params'), /Flax/],
  ['onnx', latin('\x08\x08\x12\x07pytorch\x1a'), /ONNX/],
  ['zeros', new Uint8Array(64), /never ended/],
  ['safetensors', latin('\x10\0\0\0\0\0\0\0{"a":{} }'), /safetensors/],
  ['unknown', latin('\xc3\x28\x99\x01\x02\x03'), /no format/],
])('%s: %#', (name, bytes, words) => {
  const kind = fileKind(bytes, bytes.length);
  expect(kind.name).toBe(name);
  expect(kind.looksLike).toMatch(words);
});

test('a character cut by the end of the first bytes does not make text unknown', () => {
  const bytes = utf8('schön');
  expect(fileKind(bytes.subarray(0, 4), 6).name).toBe('text');
});

test('JSON with an error that goes on behind the first bytes is data, not an answer of a server', () => {
  const bytes = utf8('{"error":"x"}\n');
  expect(fileKind(bytes, 1_000_000).name).toBe('json');
});
