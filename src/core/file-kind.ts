// Tells from its first bytes which kind of file people have brought, under whatever name.
import type { FileKind } from './file-kind-name.js';
import type { ReadableFile } from './storage.js';
import { textKind } from './text-kind.js';

/** Bytes from the front of a file that decide; a TAR shows itself at 257. */
export const SNIFF_BYTES = 2048;

interface Magic extends FileKind {
  readonly at?: number;
  /** Latin-1: each character is a byte. */
  readonly bytes: string;
}

/** Marks at fixed places, as each format's own specification gives them; the first that fits counts. */
const MAGICS: readonly Magic[] = [
  { name: 'gguf', bytes: 'GGUF', looksLike: 'a GGUF file (llama.cpp)' },
  { name: 'ggml', bytes: 'lmgg', looksLike: 'an old GGML file (llama.cpp)' },
  { name: 'ggml', bytes: 'tjgg', looksLike: 'an old GGML file (llama.cpp)' },
  { name: 'ggml', bytes: 'fmgg', looksLike: 'an old GGML file (llama.cpp)' },
  { name: 'gzip', bytes: '\x1f\x8b', looksLike: 'a gzip file' },
  { name: 'zstd', bytes: '\x28\xb5\x2f\xfd', looksLike: 'a Zstandard file' },
  { name: 'xz', bytes: '\xfd7zXZ\0', looksLike: 'an xz file' },
  { name: 'bzip2', bytes: 'BZh', looksLike: 'a bzip2 file' },
  { name: 'seven-zip', bytes: '7z\xbc\xaf\x27\x1c', looksLike: 'a 7-Zip archive' },
  { name: 'rar', bytes: 'Rar!\x1a\x07', looksLike: 'a RAR archive' },
  { name: 'parquet', bytes: 'PAR1', looksLike: 'a Parquet file' },
  { name: 'parquet', bytes: 'PARE', looksLike: 'an encrypted Parquet file' },
  { name: 'arrow', bytes: 'ARROW1', looksLike: 'an Arrow file' },
  { name: 'arrow', bytes: '\xff\xff\xff\xff', looksLike: 'an Arrow stream (as datasets saves it)' },
  { name: 'arrow', bytes: 'FEA1', looksLike: 'a Feather file' },
  { name: 'orc', bytes: 'ORC', looksLike: 'an ORC file' },
  { name: 'utf-32', bytes: '\xff\xfe\0\0', looksLike: 'text in UTF-32' },
  { name: 'utf-32', bytes: '\0\0\xfe\xff', looksLike: 'text in UTF-32' },
  { name: 'utf-16le', bytes: '\xff\xfe', looksLike: 'text in UTF-16' },
  { name: 'utf-16be', bytes: '\xfe\xff', looksLike: 'text in UTF-16 (big-endian)' },
  { name: 'numpy', bytes: '\x93NUMPY', looksLike: 'a NumPy array (.npy)' },
  { name: 'hdf5', bytes: '\x89HDF\r\n\x1a\n', looksLike: 'an HDF5 file (.h5, as Keras and TensorFlow save it)' },
  { name: 'sqlite', bytes: 'SQLite format 3\0', looksLike: 'an SQLite database' },
  { name: 'pdf', bytes: '%PDF-', looksLike: 'a PDF document' },
  { name: 'tflite', at: 4, bytes: 'TFL3', looksLike: 'a TensorFlow Lite model' },
  // The number that torch.save put in front of its pickles before it wrote ZIP archives.
  { name: 'torch', bytes: '\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19', looksLike: 'an old PyTorch file (torch.save)' },
  { name: 'tar', at: 257, bytes: 'ustar', looksLike: 'a TAR archive' },
];

/** The kind of an open file. */
export async function readKind(file: ReadableFile): Promise<FileKind> {
  const first = new Uint8Array(Math.min(SNIFF_BYTES, file.sizeBytes));
  await file.read(first, 0);
  return fileKind(first, file.sizeBytes);
}

/**
 * The kind of a file whose first bytes are given: as many as it has, up to `SNIFF_BYTES`. Never
 * throws.
 */
export function fileKind(first: Uint8Array, sizeBytes: number): FileKind {
  if (sizeBytes === 0 || first.length === 0) return { name: 'empty', looksLike: 'an empty file' };
  const bytes = first.subarray(0, SNIFF_BYTES);
  if (isSafetensors(bytes)) return { name: 'safetensors', looksLike: 'a safetensors file' };
  if (bytes.every((byte) => byte === 0) && bytes.length >= 8)
    return { name: 'zeros', looksLike: 'a file that begins with zeros alone, as a download leaves it that never ended' };
  const magic = MAGICS.find((one) => hasAt(bytes, one.at ?? 0, one.bytes));
  if (magic) return { name: magic.name, looksLike: magic.looksLike };
  return (
    zipKind(bytes) ?? binaryKind(bytes) ?? textKind(bytes, sizeBytes) ?? { name: 'unknown', looksLike: 'no format that is known here' }
  );
}

function hasAt(bytes: Uint8Array, at: number, mark: string): boolean {
  for (let i = 0; i < mark.length; i++) if (bytes[at + i] !== mark.charCodeAt(i)) return false;
  return true;
}

/** A header's length, then JSON. */
function isSafetensors(bytes: Uint8Array): boolean {
  if (bytes.length < 10 || bytes[8] !== 0x7b) return false;
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true) < 2n ** 32n;
}

const LOCAL_FILE = 'PK\x03\x04';

/** A ZIP archive is told by the first file in it. */
function zipKind(bytes: Uint8Array): FileKind | undefined {
  if (hasAt(bytes, 0, 'PK\x05\x06')) return { name: 'zip', looksLike: 'an empty ZIP archive' };
  if (!hasAt(bytes, 0, LOCAL_FILE)) return undefined;
  const length = (bytes[26] ?? 0) + 256 * (bytes[27] ?? 0);
  const name = String.fromCharCode(...bytes.subarray(30, 30 + Math.min(length, 256)));
  if (/(^|\/)(data\.pkl|byteorder|\.format_version|version|constants\.pkl)$/.test(name))
    return { name: 'torch-zip', looksLike: 'a PyTorch file (torch.save)' };
  if (name.endsWith('.npy')) return { name: 'numpy-zip', looksLike: 'NumPy arrays (.npz)' };
  if (/^(\[Content_Types\]\.xml|xl\/|_rels\/|docProps\/)/.test(name)) return { name: 'excel', looksLike: 'an Excel or Word document' };
  if (/^(metadata\.json|config\.json|model\.weights\.h5)$/.test(name)) return { name: 'keras', looksLike: 'a Keras model (.keras)' };
  return { name: 'zip', looksLike: 'a ZIP archive' };
}

/** Formats without a mark: they are told by what must stand at their front. */
function binaryKind(bytes: Uint8Array): FileKind | undefined {
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  if (a === 0x80 && b >= 2 && b <= 5) return { name: 'pickle', looksLike: 'a Python pickle' };
  // A map of msgpack whose first key is a text.
  const key = a === 0xde ? 3 : a === 0xdf ? 5 : 1;
  const isMap = (a > 0x80 && a <= 0x8f) || a === 0xde || a === 0xdf;
  const begins = bytes[key] ?? 0;
  if (isMap && ((begins > 0xa0 && begins <= 0xbf) || begins === 0xd9)) return { name: 'flax', looksLike: 'a Flax file (msgpack)' };
  // Field 1, the version of the representation, then field 2, the name of its producer.
  if (a === 0x08 && b > 0 && b < 0x20 && c === 0x12 && d < 0x40 && bytes.subarray(4, 4 + d).every((byte) => byte > 0x1f && byte < 0x7f))
    return { name: 'onnx', looksLike: 'an ONNX model' };
  return undefined;
}
