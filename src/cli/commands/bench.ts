// `fedstream bench`: figures of this machine beside those of its memory, and the size table of the paper.
import { Command } from 'commander';
import { FedStreamError } from '../../core/errors.js';
import { nodeCodecs } from '../../node/codecs.js';
import { nodeFolder } from '../../node/node-folder.js';
import { dtypeBytes, elementCount } from '../../tensor/dtype.js';
import { writeModel } from '../../tensor/model-folder.js';
import { benchCodecs } from '../bench/codecs.js';
import { SHAPES } from '../bench/llama-shapes.js';
import { normalModel } from '../bench/normal-model.js';
import { benchSizes, type SizeRow } from '../bench/sizes.js';
import { byteProgress, watched } from '../byte-progress.js';
import { wholeNumber } from '../options.js';

export function benchCommand(): Command {
  const bench = new Command('bench').description('Measure this machine: kernels, sizes.');
  for (const command of [codecsCommand(), sizesCommand(), makeModelCommand()]) bench.addCommand(command.exitOverride());
  return bench;
}

function codecsCommand(): Command {
  return new Command('codecs')
    .description('GB/s of fp32 through every kernel: one thread and all, streaming over 256 MB and hot over 1 MB, beside a memory copy.')
    .option('--json', 'print {copyGBps, kernels} as JSON on standard output')
    .action(async (options: { json?: boolean }) => {
      if (!options.json) process.stdout.write(codecLine(['kernel', 'threads', 'stream', 'of copy', 'hot', 'reference']));
      const figures = await benchCodecs((row, copyGBps) => {
        if (options.json) return;
        const cells = [row.streamGBps, row.streamGBps / copyGBps, row.hotGBps, row.referenceGBps].map((value) => value.toFixed(2));
        process.stdout.write(codecLine([row.name, String(row.threads), ...cells]));
      });
      process.stdout.write(
        options.json ? `${JSON.stringify(figures)}\n` : codecLine(['memory copy', '1', figures.copyGBps.toFixed(2), '1.00']),
      );
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

function makeModelCommand(): Command {
  return new Command('make-model')
    .description('Write a model of seeded normal weights with the exact tensor names and shapes of a known one.')
    .argument('<shape>', `one of ${Object.keys(SHAPES).join(', ')}`)
    .argument('<folder>', 'where the safetensors files go')
    .option('--seed <number>', 'another seed, other weights', wholeNumber(0), 1)
    .action(async (shape: string, path: string, options: { seed: number }) => {
      const manifest = Object.hasOwn(SHAPES, shape) ? SHAPES[shape]?.() : undefined;
      if (!manifest)
        throw new FedStreamError(
          'bad-argument',
          `there is no shape ${JSON.stringify(shape)}; the shapes are ${Object.keys(SHAPES).join(', ')}`,
        );
      const total = manifest.tensors.reduce((bytes, tensor) => bytes + dtypeBytes(tensor.dtype, elementCount(tensor.shape)), 0);
      const progress = byteProgress(path, total);
      try {
        await writeModel(nodeFolder(path), watched(normalModel(manifest, options.seed), progress.add));
      } finally {
        progress.stop();
      }
      process.stdout.write(`${path}: ${manifest.tensors.length} tensors, ${(total / 2 ** 20).toFixed(2)} MB\n`);
    });
}
