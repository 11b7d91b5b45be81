// Says of a file that is no safetensors what it looks like, and which command makes a model of it.
import { FedStreamError } from '../core/errors.js';
import type { FileKind, FileKindName } from '../core/file-kind-name.js';

/** The error for a file of another kind; undefined for safetensors and for what nobody knows. */
export function wrongKind(kind: FileKind, path: string): FedStreamError | undefined {
  const advice = modelAdvice(kind.name, path);
  return advice === undefined
    ? undefined
    : new FedStreamError('bad-tensor-file', `${path} is ${kind.looksLike}, no safetensors file: ${advice}`);
}

/** The step that makes a model of a file of that kind; undefined where there is nothing to say. */
export function modelAdvice(kind: FileKindName, path: string): string | undefined {
  return ADVICE[kind]?.(path);
}

const stem = (path: string) =>
  path.replace(/\.(gz|zst|xz|bz2|bin|pt|pth|ckpt|npz|npy|h5|hdf5|keras|msgpack|onnx|tflite|safetensors|zip|tar|7z|rar)$/i, '');
const target = (path: string) => `${stem(path)}.safetensors`;
const folderOf = (path: string) => (path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '.');
/** A path as a shell takes it, inside double quotes it is Python's. */
const quoted = (path: string) => (/^[\w./@+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`);
const python = (path: string) => JSON.stringify(path).replaceAll('"', "'");

const AGAIN = 'fetch it again, as with `huggingface-cli download ORG/NAME --local-dir FOLDER`';
const PAGE = `a server answered with this in the place of the file. Links to files say /resolve/ and not /blob/; models with a licence to agree to need \`huggingface-cli login\`; then ${AGAIN}`;
const DATA = 'that is data, and no model; give it with --data';

const torch = (path: string) =>
  `convert it with \`python -c "import torch; from safetensors.torch import save_file; save_file({k: v.clone().contiguous() for k, v in torch.load(${python(path)}, map_location='cpu', weights_only=True).items()}, ${python(target(path))})"\``;
const transformers = (flag: string) => (path: string) =>
  `convert its folder with \`python -c "from transformers import AutoModelForCausalLM as M; M.from_pretrained(${python(folderOf(path))}, ${flag}=True).save_pretrained(${python(`${folderOf(path)}/safetensors`)})"\` (transformers below 5)`;
const unpacked = (command: string, ending: string) => (path: string) => {
  const packed = `${stem(path)}${ending}`;
  const move = path.endsWith(ending) ? '' : `mv ${quoted(path)} ${quoted(packed)} && `;
  return `unpack it with \`${move}${command} ${quoted(packed)}\`, and name the model inside`;
};
/** One file that was packed: its contents are written as the model. */
const decompressed = (command: string) => (path: string) => {
  const to = target(path) === path ? `${stem(path)}.unpacked.safetensors` : target(path);
  return `unpack it with \`${command} ${quoted(path)} > ${quoted(to)}\``;
};
const always = (advice: string) => () => advice;

const ADVICE: Readonly<Partial<Record<FileKindName, (path: string) => string>>> = {
  empty: always(`the download or the copy did not begin; ${AGAIN}`),
  zeros: always(AGAIN),
  'git-lfs': (path) => `run \`git lfs install && git -C ${quoted(folderOf(path))} lfs pull\`, or ${AGAIN}`,
  'git-annex': (path) => `run \`git -C ${quoted(folderOf(path))} annex get .\``,
  html: always(PAGE),
  xml: always(PAGE),
  'json-error': always(PAGE),
  json: always('give the folder that it lies in, or the file with the weights'),
  csv: always(DATA),
  text: always(PAGE),
  'utf-8-bom': always(DATA),
  'utf-16le': always(DATA),
  'utf-16be': always(DATA),
  'utf-32': always(DATA),
  parquet: always(DATA),
  arrow: always(DATA),
  orc: always(DATA),
  excel: always(DATA),
  sqlite: always(DATA),
  pdf: always('give the file with the weights'),
  gzip: decompressed('gzip -dc'),
  zstd: decompressed('zstd -dc'),
  xz: decompressed('xz -dc'),
  bzip2: decompressed('bzip2 -dc'),
  zip: unpacked('unzip', '.zip'),
  tar: unpacked('tar -xf', '.tar'),
  'seven-zip': unpacked('7z x', '.7z'),
  rar: unpacked('unrar x', '.rar'),
  torch,
  'torch-zip': torch,
  pickle: torch,
  numpy: (path) =>
    `convert it with \`python -c "import numpy as np; from safetensors.numpy import save_file; save_file({'weight': np.ascontiguousarray(np.load(${python(path)}))}, ${python(target(path))})"\``,
  'numpy-zip': (path) =>
    `convert it with \`python -c "import numpy as np; from safetensors.numpy import save_file; save_file({k: np.ascontiguousarray(v) for k, v in np.load(${python(path)}).items()}, ${python(target(path))})"\``,
  hdf5: transformers('from_tf'),
  keras: always('export its weights as safetensors from Keras (`model.get_weights()`), or take the PyTorch version of the model'),
  flax: transformers('from_flax'),
  onnx: always('it is made to run, not to be trained; take the safetensors of the model that it was exported from'),
  tflite: always('it is made to run, not to be trained; take the safetensors of the model that it was made from'),
  gguf: (path) => `name it as it is: \`fedstream inspect ${quoted(path)}\` and \`fedstream dequantize ${quoted(path)} FOLDER\` read GGUF`,
  ggml: always('convert it to GGUF with an old llama.cpp, or take a newer version of the model'),
};
