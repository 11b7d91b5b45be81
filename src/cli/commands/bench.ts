// `fedstream bench`: measures this machine against its memory, and computes the paper's size table.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { nodeCodecs } from '../../node/codec/codecs.js';
import { stopSignal } from '../../node/process/stop-signal.js';
import { nodeFolder } from '../../node/storage/node-folder.js';
import { writeModel } from '../../tensor/model-folder.js';
import { STREAMING_MODES, type StreamingMode } from '../../transfer/streaming-mode.js';
import { benchCodecs, STREAM_MB } from '../bench/codecs.js';
import { SHAPES } from '../bench/llama-shapes.js';
import { modelBytes, modelShape } from '../bench/model-shape.js';
import { normalModel } from '../bench/normal-model.js';
import { benchReduce, type ReduceBench } from '../bench/reduce.js';
import { benchSizes, type SizeRow } from '../bench/sizes.js';
import { benchTransfer, type TransferBench } from '../bench/transfer.js';
import { byteProgress, watched } from '../byte-progress.js';
import { positiveNumber, wholeNumber } from '../options.js';

/** The subcommand `bench`, with subcommands of its own. */
export function benchCommand(): Command {
  const bench = new Command('bench').description('Measure this machine: kernels, sizes.');
  for (const command of [codecsCommand(), sizesCommand(), transferCommand(), reduceCommand(), makeModelCommand()])
    bench.addCommand(command.exitOverride());
  return bench;
}

function codecsCommand(): Command {
  return new Command('codecs')
    .description('GB/s of fp32 through every kernel: one thread and all, streaming over 256 MB and hot over 1 MB, beside a memory copy.')
    .option('--mb <number>', 'MB that stream through; figures below the size of a cache say little', wholeNumber(1), STREAM_MB)
    .option('--json', 'print {copyGBps, copyAllGBps, threads, kernels} as JSON on standard output')
    .action(async (options: { json?: boolean; mb: number }) => {
      if (!options.json) process.stdout.write(codecLine(['kernel', 'threads', 'stream', 'of copy', 'hot', 'reference']));
      const figures = await benchCodecs(
        nodeCodecs(),
        (row, copyGBps) => {
          if (options.json) return;
          const cells = [row.streamGBps, row.streamGBps / copyGBps, row.hotGBps, row.referenceGBps].map((value) => value.toFixed(2));
          process.stdout.write(codecLine([row.name, String(row.threads), ...cells]));
        },
        options.mb,
      );
      if (options.json) process.stdout.write(`${JSON.stringify(figures)}\n`);
      else
        for (const [threads, copy] of new Map([
          [1, figures.copyGBps],
          [figures.threads, figures.copyAllGBps],
        ]))
          process.stdout.write(codecLine(['memory copy', String(threads), copy.toFixed(2), (copy / figures.copyGBps).toFixed(2)]));
    });
}

function codecLine([name = '', ...cells]: string[]): string {
  return `${name.padEnd(22)}${cells.map((cell) => cell.padStart(10)).join('')}\n`;
}

function sizesCommand(): Command {
  return new Command('sizes')
    .description("The paper's Table II: MB (2^20) of Llama-3.2-1B, 147 tensors, in every codec; computed, and confirmed by encoding it.")
    .option('--no-confirm', 'only compute')
    .option('--json', 'print {rows} as JSON on standard output')
    .action(async (options: { confirm: boolean; json?: boolean }) => {
      const onRow = options.json ? {} : { onRow: (row: SizeRow) => process.stdout.write(sizeLine(row)) };
      if (!options.json)
        process.stdout.write(sizeLine({ codec: 'codec', modelMB: 'model', metaMB: 'meta', percentOfFp32: '% of fp32', sentMB: 'sent' }));
      const rows = await benchSizes(nodeCodecs(), { confirm: options.confirm, ...onRow });
      if (options.json) process.stdout.write(`${JSON.stringify({ rows })}\n`);
    });
}

function sizeLine({ codec, ...cells }: { [K in keyof SizeRow]: SizeRow[K] | string }): string {
  const text = (value: number | string): string => (typeof value === 'number' ? value.toFixed(2) : value).padStart(11);
  return `${codec.padEnd(15)}${[cells.modelMB, cells.metaMB, cells.percentOfFp32, cells.sentMB].map(text).join('')}\n`;
}

function transferCommand(): Command {
  return new Command('transfer')
    .description(
      'Move a model from one process to another over loopback, and compare with a copy of its file: seconds, bytes, peak memory of each.',
    )
    .option('--model <shape>', `one of ${Object.keys(SHAPES).join(', ')}`, 'llama-3.2-1b')
    .option('--scale <number>', 'a part or a multiple of the model: 0.25 is a quarter of its rows', positiveNumber, 1)
    .addOption(new Option('--mode <mode>', 'what is in memory').choices(STREAMING_MODES).default('file'))
    .option('--codec <name>', 'codec of the model on its way', 'fp32')
    .option('--dir <folder>', 'a folder on the disk to use; a temporary folder is made in it and removed', tmpdir())
    .option('--sync', 'the receiver waits until its file is on the disk, as a server does', false)
    .option('--json', 'print the figures as JSON on standard output')
    .addHelpText('after', TRANSFER_HELP)
    .action(({ dir, json, ...options }: TransferArguments) =>
      inBenchFolder(dir, json, async (setting) => {
        const figures = await benchTransfer({ ...options, ...setting });
        process.stdout.write(json ? `${JSON.stringify(figures)}\n` : transferTable(figures));
      }),
    );
}

interface TransferArguments {
  readonly model: string;
  readonly scale: number;
  readonly mode: StreamingMode;
  readonly codec: string;
  readonly dir: string;
  readonly sync: boolean;
  readonly json?: boolean;
}

const TRANSFER_HELP = `
Examples:
  $ fedstream bench transfer --scale 0.25                  a quarter of Llama-3.2-1B, file to file
  $ fedstream bench transfer --mode container --codec nf4
  $ fedstream bench transfer --json > transfer.json

The whole model takes 6 GB of disk twice. A copy with cp is timed in the same run: compare figures of one run.
`;

function transferTable(figures: TransferBench): string {
  const mb = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MB`;
  const both = figures.sender.peakRssBytes + figures.receiver.peakRssBytes;
  const rows: [string, string][] = [
    ['mode, codec, driver', `${figures.mode}, ${figures.codec}, ${figures.driver}`],
    ['model', mb(figures.modelBytes)],
    ['seconds', figures.seconds.toFixed(2)],
    ['cp, seconds', `${figures.cpSeconds.toFixed(2)} (${(figures.seconds / figures.cpSeconds).toFixed(2)} ×)`],
    ['on the wire', mb(figures.wireBytes)],
    ['digest', figures.digestOk ? 'right' : 'WRONG'],
    ['peak memory', `${mb(both)} (sender ${mb(figures.sender.peakRssBytes)}, receiver ${mb(figures.receiver.peakRssBytes)})`],
  ];
  return rows.map(([what, value]) => `${what.padEnd(22)}${value}\n`).join('');
}

function reduceCommand(): Command {
  return new Command('reduce')
    .description('Average the coded results of many clients, spool by spool, as a server does: seconds, GB/s of decoded fp32, peak memory.')
    .option('--model <shape>', `one of ${Object.keys(SHAPES).join(', ')}`, 'llama-3.2-1b')
    .option('--scale <number>', 'a part or a multiple of the model: 0.25 is a quarter of its rows', positiveNumber, 1)
    .option('--clients <count>', 'number of results', wholeNumber(1), 8)
    .option('--codec <name>', 'codec of the results', 'nf4')
    .option('--threads <count>', 'threads that add; by default one a core', wholeNumber(1))
    .option('--seed <number>', 'another seed, another order of arrival', wholeNumber(0), 1)
    .option('--dir <folder>', 'a folder on the disk to use; a temporary folder is made in it and removed', tmpdir())
    .option('--json', 'print the figures as JSON on standard output')
    .addHelpText('after', REDUCE_HELP)
    .action(({ dir, json, ...options }: ReduceArguments) =>
      inBenchFolder(dir, json, async (setting) => {
        const figures = await benchReduce({ ...options, ...setting });
        process.stdout.write(json ? `${JSON.stringify(figures)}\n` : reduceTable(figures));
      }),
    );
}

interface ReduceArguments {
  readonly model: string;
  readonly scale: number;
  readonly clients: number;
  readonly codec: string;
  readonly threads?: number;
  readonly seed: number;
  readonly dir: string;
  readonly json?: boolean;
}

const REDUCE_HELP = `
Examples:
  $ fedstream bench reduce --scale 0.25                    8 clients, nf4, a quarter of Llama-3.2-1B
  $ fedstream bench reduce --clients 32 --codec blockwise8 --threads 1

The digest is the same for every order of arrival (--seed) and every number of threads.
`;

function reduceTable(figures: ReduceBench): string {
  const rows: [string, string][] = [
    ['clients, codec', `${figures.clients}, ${figures.codec}`],
    ['seconds', figures.seconds.toFixed(2)],
    ['decoded', `${figures.decodedGBps.toFixed(2)} GB/s`],
    ['peak memory', `${(figures.peakRssBytes / 2 ** 20).toFixed(0)} MB`],
    ['digest', figures.digest],
  ];
  return rows.map(([what, value]) => `${what.padEnd(22)}${value}\n`).join('');
}

/** Works in a temporary folder, which is removed afterwards, also after Ctrl-C. */
async function inBenchFolder(
  dir: string,
  json: boolean | undefined,
  work: (setting: { folder: string; signal: AbortSignal; onStep(what: string): void }) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(dir, 'fedstream-bench-'));
  const onStep = (what: string): void => void (json || process.stderr.write(`${what}\n`));
  try {
    await work({ folder, onStep, signal: stopSignal({ supervised: false }) });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function makeModelCommand(): Command {
  return new Command('make-model')
    .description('Write a model of seeded normal weights with the exact tensor names and shapes of a known one.')
    .argument('<shape>', `one of ${Object.keys(SHAPES).join(', ')}`)
    .argument('<folder>', 'where the safetensors files go')
    .option('--seed <number>', 'another seed, other weights', wholeNumber(0), 1)
    .option('--scale <number>', 'a part or a multiple of the model', positiveNumber, 1)
    .action(async (shape: string, path: string, options: { seed: number; scale: number }) => {
      const manifest = modelShape(shape, options.scale);
      const total = modelBytes(manifest);
      const progress = byteProgress(path, total);
      try {
        await writeModel(nodeFolder(path), watched(normalModel(manifest, options.seed), progress.add));
      } finally {
        progress.stop();
      }
      process.stdout.write(`${path}: ${manifest.tensors.length} tensors, ${(total / 2 ** 20).toFixed(2)} MB\n`);
    });
}
