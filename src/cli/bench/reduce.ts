// `fedstream bench reduce`: averages the results of many clients in a process whose memory is
// measured.
import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import { parseCodecName } from '../../codec/codec-name.js';
import { encodeModel } from '../../codec/quantize.js';
import { FedStreamError } from '../../core/errors.js';
import { randomStream, shuffle } from '../../core/random.js';
import { encodingByPolicy } from '../../filter/policy.js';
import { builtProgram } from '../../node/built-file.js';
import { nodeCodecs } from '../../node/codec/codecs.js';
import { supervise } from '../../node/process/child-process.js';
import { nodeFolder } from '../../node/storage/node-folder.js';
import { objectBytes } from '../../transfer/object.js';
import { spoolInfo, writeSpool } from '../../transfer/spool.js';
import { modelBytes, modelShape } from './model-shape.js';
import { repeatedModel } from './normal-model.js';
import { REDUCED_MODEL, type ReduceReport, type ReduceSettings } from './reduce-settings.js';

/** Options of the benchmark. */
export interface ReduceBenchOptions {
  readonly model: string;
  readonly scale: number;
  readonly clients: number;
  readonly codec: string;
  readonly threads?: number;
  /** Decides the order in which the results arrive. */
  readonly seed: number;
  readonly folder: string;
  readonly signal: AbortSignal;
  onStep(what: string): void;
}

/** Figures of the benchmark. */
export interface ReduceBench {
  readonly clients: number;
  readonly codec: string;
  /** Time to read the spools, add them and write the model. */
  readonly seconds: number;
  /** GB of fp32 per second, over all results. */
  readonly decodedGBps: number;
  readonly peakRssBytes: number;
  /** Digest of the model's file. */
  readonly digest: string;
}

/**
 * Makes the results, averages them and measures it; throws `io` where the disk is too small or the
 * process fails.
 */
export async function benchReduce(options: ReduceBenchOptions): Promise<ReduceBench> {
  const { clients, codec, folder, signal, onStep } = options;
  parseCodecName(codec, nodeCodecs());
  const manifest = modelShape(options.model, options.scale);
  const disk = nodeFolder(folder);
  const names = Array.from({ length: clients }, (_, i) => `site-${String(i + 1).padStart(3, '0')}`);
  for (const [i, name] of names.entries()) {
    signal.throwIfAborted();
    onStep(`making the results: ${i + 1} of ${clients}`);
    const model = repeatedModel(manifest, i + 1);
    const coded = codec === 'fp32' ? model : encodeModel(model, encodingByPolicy(codec, nodeCodecs()), nodeCodecs());
    if (i === 0) requireRoom(folder, clients * objectBytes(coded.manifest, nodeCodecs()) + modelBytes(manifest));
    await writeSpool(coded, nodeCodecs(), disk, name, { durable: false });
  }
  signal.throwIfAborted();
  onStep('reducing them');
  const arrived = shuffle([...names], randomStream(options.seed, 'arrival'));
  const { seconds, peakRssBytes } = await runReduce({ folder, arrived, threads: options.threads }, signal);
  return {
    clients,
    codec,
    seconds,
    decodedGBps: (clients * modelBytes(manifest)) / seconds / 1e9,
    peakRssBytes,
    digest: (await spoolInfo(disk, REDUCED_MODEL)).digest,
  };
}

function requireRoom(folder: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize > bytes) return;
  const gb = (count: number): string => (count / 1e9).toFixed(1);
  throw new FedStreamError(
    'io',
    `${folder} has ${gb(bavail * bsize)} GB free; this takes ${gb(bytes)} GB. Choose another disk with --dir, fewer --clients, or a smaller --scale`,
  );
}

async function runReduce(settings: ReduceSettings, signal: AbortSignal): Promise<ReduceReport> {
  let report: ReduceReport | undefined;
  const child = supervise({
    name: 'reduce',
    command: [process.execPath, ...process.execArgv, builtProgram('reduce-side'), JSON.stringify(settings)],
    logFile: join(settings.folder, 'reduce.log'),
    onLine(line) {
      report = JSON.parse(line) as ReduceReport;
    },
  });
  const abort = (): void => child.kill();
  signal.addEventListener('abort', abort, { once: true });
  const code = await child.exited;
  signal.removeEventListener('abort', abort);
  signal.throwIfAborted();
  if (code === 0 && report) return report;
  throw new FedStreamError('io', `the reducing process failed (${code}): ${child.lastLines() || 'it said nothing'}`);
}
