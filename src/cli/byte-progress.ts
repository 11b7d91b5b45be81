// A progress bar in bytes on standard error, and a state dict that moves it.
import { Presets, SingleBar } from 'cli-progress';
import { dtypeBytes } from '../tensor/dtype.js';
import type { StateDict } from '../tensor/state-dict.js';

/** A progress bar that counts bytes. */
export interface ByteProgress {
  add(bytes: number): void;
  stop(): void;
}

/** Starts a bar, which is drawn only if standard error is a terminal. */
export function byteProgress(what: string, totalBytes: number): ByteProgress {
  const bar = new SingleBar(
    {
      stream: process.stderr,
      format: `${what} {bar} {percentage}% {done} of {size} MB, {eta_formatted} left`,
      noTTYOutput: false,
      hideCursor: true,
      clearOnComplete: true,
      fps: 10,
    },
    Presets.shades_classic,
  );
  const megabytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
  let done = 0;
  bar.start(totalBytes, 0, { done: '0', size: megabytes(totalBytes) });
  return {
    add(bytes) {
      done += bytes;
      bar.update(done, { done: megabytes(done) });
    },
    stop: () => bar.stop(),
  };
}

/**
 * The same model; `onBytes` is called with the size of every chunk that is read, in bytes of the
 * tensor's own dtype.
 */
export function watched(model: StateDict, onBytes: (bytes: number) => void): StateDict {
  async function* chunks(range?: Parameters<StateDict['chunks']>[0]) {
    for await (const chunk of model.chunks(range)) {
      onBytes(dtypeBytes(chunk.tensor.dtype, chunk.elements));
      yield chunk;
    }
  }
  return { manifest: model.manifest, chunks, close: () => model.close?.() };
}
