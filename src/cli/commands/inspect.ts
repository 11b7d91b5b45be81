// `fedstream inspect`: shows a safetensors file, a model folder, a spool or a run.

import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { Command } from 'commander';
import type { CodecTable } from '../../codec/codec.js';
import { codecLabel } from '../../codec/codec-name.js';
import { withGgufCodecs } from '../../codec/gguf-codecs.js';
import { jsonText } from '../../core/json-text.js';
import { visible } from '../../core/visible.js';
import { nodeCodecs } from '../../node/codec/codecs.js';
import { openPlace } from '../../node/model/find-model.js';
import { nodeFolder } from '../../node/storage/node-folder.js';
import { readRunRecord } from '../../record/run-record.js';
import { elementCount } from '../../tensor/dtype.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { openSpool } from '../../transfer/spool.js';
import { summaryLines } from '../finish-run.js';
import { modelPlace, variantOption } from '../model-path.js';
import { formatCount } from '../report/format.js';

const HELP = `
Examples:
  $ fedstream inspect model.safetensors
  $ fedstream inspect ./llama-folder --json
  $ fedstream inspect runs/latest
`;

/** The subcommand `inspect`. */
export function inspectCommand(): Command {
  return new Command('inspect')
    .description('Show what is in a safetensors file, a model folder, a spool or a run, without reading its tensors.')
    .argument('<path>', 'file, folder, or name on the Hugging Face hub')
    .addOption(variantOption())
    .option('--json', 'print JSON on standard output')
    .addHelpText('after', HELP)
    .action(inspect);
}

async function inspect(path: string, { json, variant }: { json?: boolean; variant?: string }): Promise<void> {
  const full = resolve(path);
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() && existsSync(join(full, 'events.jsonl'))) return inspectRun(full, json);
  const model = await open(path, variant);
  try {
    if (json) process.stdout.write(`${jsonText(describe(model), 'the description', 2)}\n`);
    else process.stdout.write(table(model));
  } finally {
    await model.close?.();
  }
}

async function inspectRun(path: string, json: boolean | undefined): Promise<void> {
  const { summary } = await readRunRecord(nodeFolder(path, { followLinks: true }));
  if (json) process.stdout.write(`${jsonText(summary, 'the summary', 2)}\n`);
  else
    process.stdout.write(
      `${[`run ${summary.run}: ${summary.reason ?? 'not finished'}`, ...summaryLines(summary, path)].map((line) => visible(line)).join('\n')}\n`,
    );
}

async function open(path: string, variant: string | undefined): Promise<StateDict> {
  if (path.endsWith('.spool')) return openSpool(nodeFolder(dirname(path), { followLinks: true }), basename(path), nodeCodecs());
  return openPlace(await modelPlace(path, variant), nodeCodecs());
}

/** Files of llama.cpp have codecs of their own. */
function readCodecs(): CodecTable {
  return withGgufCodecs(nodeCodecs());
}

function describe({ manifest }: StateDict) {
  const codecs = readCodecs();
  const tensors = manifest.tensors.map(({ name, dtype, shape, encoding }) => ({
    name,
    dtype,
    shape,
    codec: codecLabel(encoding, codecs),
  }));
  return { parameters: parameters(manifest.tensors), tensors, tied: manifest.tied, metadata: manifest.metadata };
}

function parameters(tensors: readonly { readonly shape: readonly number[] }[]): number {
  return tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

function table({ manifest }: StateDict): string {
  const codecs = readCodecs();
  const width = manifest.tensors.reduce((widest, { name }) => Math.max(widest, visible(name).length), 4);
  const lines = manifest.tensors.map(({ name, dtype, shape, encoding }) => {
    const coded = encoding.codec === 'raw' ? '' : `  ${codecLabel(encoding, codecs)}`;
    return `${visible(name).padEnd(width)}  ${dtype.padEnd(5)} [${shape.join(', ')}]${coded}`;
  });
  for (const [alias, name] of Object.entries(manifest.tied)) lines.push(`${visible(alias).padEnd(width)}  is ${name}`);
  lines.push(`${manifest.tensors.length} tensors, ${formatCount(parameters(manifest.tensors))} parameters`);
  return lines.map((line) => `${visible(line)}\n`).join('');
}
