// GB/s of float32 through the codecs that both sides have: bitsandbytes and torch beside `fedstream
// bench codecs`; and whole filters over a model in memory, beside NVFlare's.
import { fileURLToPath } from 'node:url';
import { command } from './command.mjs';
import { programOf } from './environments.mjs';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const THREADS = [1, 2];
/** Names here, and in NVFlare. */
const CODECS = { fp16: 'float16', blockwise8: 'blockwise8', nf4: 'normfloat4', fp4: 'float4' };
const WORKS = ['encode', 'decode'];
/** Makes glibc keep memory that was freed: else most of a decode is the first touch of new pages. */
const KEPT = { MALLOC_MMAP_THRESHOLD_: String(2 ** 32), MALLOC_TRIM_THRESHOLD_: String(2 ** 33), MALLOC_TOP_PAD_: String(2 ** 26) };

/** The turns of one repeat, each `{name, run}`; `run` resolves with rows. */
export function codecTurns({ mib }) {
  const theirs = THREADS.flatMap((threads) =>
    ['as it is', 'memory kept'].map((form) => ({
      name: `bitsandbytes and torch, ${threads} thread${threads > 1 ? 's' : ''}, ${form}`,
      run: () => bitsandbytes(threads, form, mib),
    })),
  );
  return [{ name: 'the kernels of FedStream', run: () => kernels(mib) }, ...theirs];
}

/** The turns of one repeat over whole filters. */
export function filterTurns({ mib }) {
  return Object.keys(CODECS).flatMap((codec) => [
    {
      name: `the filters of FedStream, ${codec}`,
      run: () => filters('FedStream', codec, [process.execPath, at('filters.mjs'), codec], mib),
    },
    {
      name: `the filters of NVFlare, ${codec}`,
      run: () => filters('NVFlare', codec, [programOf('nvflare', 'python'), at('nvflare/filters.py'), CODECS[codec]], mib),
    },
  ]);
}

async function kernels(mib) {
  const { stdout } = await command([process.execPath, at('../../bin/fedstream.mjs'), 'bench', 'codecs', '--mb', String(mib), '--json']);
  const { copyGBps, kernels: all } = JSON.parse(stdout);
  const found = THREADS.map((threads) => {
    const gbps = Object.fromEntries(
      Object.keys(CODECS).flatMap((codec) =>
        WORKS.map((work) => {
          const name = `${codec}.${work}`;
          return [name, all.find((kernel) => kernel.name === name && kernel.threads === threads)?.streamGBps ?? null];
        }),
      ),
    );
    return { peer: 'FedStream', form: 'as it is', threads, mib, gbps: { copy: copyGBps, ...gbps } };
  });
  return found.filter(({ gbps }) => gbps['fp16.encode'] !== null);
}

async function bitsandbytes(threads, form, mib) {
  const env = { ...process.env, ...(form === 'as it is' ? {} : KEPT) };
  const { stdout } = await command([programOf('nvflare', 'python'), at('codecs.py'), String(threads), String(mib)], { env });
  return [{ peer: 'bitsandbytes, torch', form, threads, mib, gbps: JSON.parse(stdout.trim().split('\n').at(-1)) }];
}

async function filters(peer, codec, program, mib) {
  const { stdout } = await command([...program, String(mib)]);
  const { encode, decode, moreMiB } = JSON.parse(stdout.trim().split('\n').at(-1));
  return [{ peer, codec, mib, encodeSeconds: Number(encode.toFixed(2)), decodeSeconds: Number(decode.toFixed(2)), moreMiB }];
}
