// Files that people bring as data and that are none: what each looks like, and the command that
// makes it right.
import { FedStreamError } from '../../core/errors.js';
import type { FileKind, FileKindName } from '../../core/file-kind-name.js';

const FORMATS = 'JSON, JSON lines, CSV or Parquet, also as gzip or zstd';

/** The advice for a kind; `PATH` stands for the file. */
const ADVICE: Partial<Record<FileKindName, string>> = {
  'git-lfs': 'fetch the file itself: git lfs pull --include "PATH" (or: hf download OWNER/NAME --repo-type dataset)',
  'git-annex': 'fetch the file itself: git annex get "PATH"',
  html: 'the download went wrong: it may need a login, or an address with /resolve/ in the place of /blob/',
  xml: 'the download went wrong; fetch the file again',
  'json-error': 'the download went wrong: it may need a login or another address',
  zeros: 'fetch the file again',
  xz: 'unpack it: xz -d --keep "PATH"',
  bzip2: 'unpack it: bzip2 -d --keep "PATH"',
  zip: 'unpack it: unzip "PATH", and give the file that was in it',
  'seven-zip': 'unpack it: 7z x "PATH", and give the file that was in it',
  rar: 'unpack it, and give the file that was in it',
  tar: 'unpack it: tar -xf "PATH", and give the file that was in it',
  excel:
    'save the table as CSV, or: python -c "import pandas, sys; pandas.read_excel(sys.argv[1]).to_json(\'data.jsonl\', orient=\'records\', lines=True)" "PATH"',
  'utf-32': 'rewrite it: iconv -f UTF-32 -t UTF-8 "PATH" > data.jsonl',
  sqlite: 'export the table: sqlite3 -json "PATH" "SELECT * FROM …" > data.json',
  orc: 'export it: python -c "import pandas, sys; pandas.read_orc(sys.argv[1]).to_json(\'data.jsonl\', orient=\'records\', lines=True)" "PATH"',
  pickle: 'export it where it was made, as JSON lines; a pickle is a program, which is not run here',
  safetensors: 'that is a model: give it as --model',
  gguf: 'that is a model: give it as --model',
  torch: 'that is a model',
  'torch-zip': 'that is a model',
};

/** Kinds that hold no rows of data; others are read. */
const NOT_DATA: ReadonlySet<FileKindName> = new Set([
  ...(Object.keys(ADVICE) as FileKindName[]),
  'flax',
  'ggml',
  'hdf5',
  'keras',
  'numpy',
  'numpy-zip',
  'onnx',
  'pdf',
  'tflite',
]);

/** Throws `bad-data` for a file that holds no rows of data. */
export function refuseNotData(kind: FileKind, path: string): void {
  if (!NOT_DATA.has(kind.name)) return;
  const advice = ADVICE[kind.name]?.replaceAll('PATH', path) ?? `data are ${FORMATS}`;
  throw new FedStreamError('bad-data', `${path} is ${kind.looksLike}, not a file of data; ${advice}`);
}
