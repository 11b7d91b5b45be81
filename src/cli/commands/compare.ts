// `fedstream compare`: how much two models differ, tensor by tensor.

import { Command } from 'commander';
import { compareAll, compareModels, type TensorComparison } from '../../codec/compare.js';
import { checkDecodable, withGgufCodecs } from '../../codec/gguf-codecs.js';
import { decodeModel } from '../../codec/quantize.js';
import { jsonText } from '../../core/json-text.js';
import { visible } from '../../core/visible.js';
import { nodeCodecs } from '../../node/codec/codecs.js';
import { openPlace } from '../../node/model/find-model.js';
import { dtypeBytes, elementCount } from '../../tensor/dtype.js';
import { byteProgress, watched } from '../byte-progress.js';
import { modelPlace, variantOption } from '../model-path.js';

/** The subcommand `compare`. */
export function compareCommand(): Command {
  return new Command('compare')
    .description(
      'Compare two models, coded or not: mean squared error, signal to noise, largest error, relative L2, one line for each tensor.',
    )
    .argument('<a>', 'the original: safetensors file or folder')
    .argument('<b>', 'the model that was made of it')
    .addOption(variantOption())
    .option('--json', 'print the figures as JSON on standard output')
    .addHelpText('after', '\nExamples:\n  $ fedstream compare llama/ llama-nf4.safetensors\n')
    .action(compareFiles);
}

async function compareFiles(pathA: string, pathB: string, options: { json?: boolean; variant?: string }): Promise<void> {
  const codecs = withGgufCodecs(nodeCodecs());
  const [placeA, placeB] = [await modelPlace(pathA, options.variant), await modelPlace(pathB, options.variant)];
  const a = await openPlace(placeA, codecs);
  const b = await openPlace(placeB, codecs);
  checkDecodable(a.manifest, pathA);
  checkDecodable(b.manifest, pathB);
  const total = a.manifest.tensors.reduce((bytes, { dtype, shape }) => bytes + dtypeBytes(dtype, elementCount(shape)), 0);
  const progress = byteProgress(`${pathA} against ${pathB}`, total);
  const tensors: TensorComparison[] = [];
  try {
    for await (const tensor of compareModels(decodeModel(watched(a, progress.add), codecs), decodeModel(b, codecs))) tensors.push(tensor);
  } finally {
    progress.stop();
    await a.close?.();
    await b.close?.();
  }
  const all = { ...compareAll(tensors), name: 'all' };
  if (options.json) process.stdout.write(`${jsonText({ tensors: tensors.map(figures), all: figures(all) }, 'the comparison')}\n`);
  else process.stdout.write(table([...tensors, all]));
}

/** Figures for JSON, which has no infinity: the SNR of equal tensors is null. */
function figures({ name, elements, mse, snrDb, maxError, relativeL2 }: TensorComparison) {
  return { name, elements, mse, snrDb: Number.isFinite(snrDb) ? snrDb : null, maxError, relativeL2 };
}

function table(rows: readonly TensorComparison[]): string {
  const width = rows.reduce((widest, { name }) => Math.max(widest, visible(name).length), 0);
  const line = (name: string, ...cells: string[]): string =>
    `${visible(name).padEnd(width)}${cells.map((cell) => cell.padStart(12)).join('')}\n`;
  const figure = (value: number): string => (value === 0 ? '0' : value.toExponential(3));
  return [
    line('tensor', 'elements', 'MSE', 'SNR dB', 'max error', 'relative L2'),
    ...rows.map(({ name, elements, mse, snrDb, maxError, relativeL2 }) =>
      line(name, String(elements), figure(mse), Number.isFinite(snrDb) ? snrDb.toFixed(2) : 'equal', figure(maxError), figure(relativeL2)),
    ),
  ].join('');
}
