// The kinds of files that are told apart by their first bytes.

/** Every kind that is told apart; `unknown` is anything else, `text` any other UTF-8. */
export type FileKindName =
  | 'arrow'
  | 'bzip2'
  | 'csv'
  | 'empty'
  | 'excel'
  | 'flax'
  | 'ggml'
  | 'gguf'
  | 'git-annex'
  | 'git-lfs'
  | 'gzip'
  | 'hdf5'
  | 'html'
  | 'json'
  | 'json-error'
  | 'keras'
  | 'numpy'
  | 'numpy-zip'
  | 'onnx'
  | 'orc'
  | 'parquet'
  | 'pdf'
  | 'pickle'
  | 'rar'
  | 'safetensors'
  | 'seven-zip'
  | 'sqlite'
  | 'tar'
  | 'text'
  | 'tflite'
  | 'torch'
  | 'torch-zip'
  | 'unknown'
  | 'utf-16be'
  | 'utf-16le'
  | 'utf-32'
  | 'utf-8-bom'
  | 'xml'
  | 'xz'
  | 'zeros'
  | 'zip'
  | 'zstd';

/** A file's kind, and in words what it looks like ("a web page (HTML)"). */
export interface FileKind {
  readonly name: FileKindName;
  readonly looksLike: string;
}
