// `fedstream quantize` and `fedstream dequantize`: code and decode whole models as a stream.
import { Command, Option } from 'commander';
import type { z } from 'zod';
import { writeBitsandbytesModel } from '../../codec/bitsandbytes-file.js';
import { codecNames, parseCodecName } from '../../codec/codec-name.js';
import { referenceCodecs } from '../../codec/codec-table.js';
import { isCoded, writeCodedModel } from '../../codec/coded-file.js';
import { decodeModel, encodeModel } from '../../codec/quantize.js';
import { FedStreamError } from '../../core/errors.js';
import type { Folder } from '../../core/storage.js';
import { readText, writeText } from '../../core/storage-text.js';
import { encodingByPolicy, type Policy, policySchema } from '../../filter/policy.js';
import { nodeCodecMemory, nodeCodecs } from '../../node/codec/codecs.js';
import { openPlace } from '../../node/model/find-model.js';
import { type GgufNames, type GgufTexts, ggufNames, ggufTexts, isGguf, openGgufDecoded } from '../../node/model/gguf-start.js';
import { peakRssBytes } from '../../node/process/memory.js';
import { dtypeBytes, elementCount } from '../../tensor/dtype.js';
import { type Encoding, type Manifest, RAW, type TensorEntry } from '../../tensor/manifest.js';
import { MAX_SHARD_BYTES, writeModel } from '../../tensor/model-folder.js';
import { MODEL_FILE } from '../../tensor/model-weights.js';
import { writeSafetensors } from '../../tensor/safetensors.js';
import { byteProgress, watched } from '../byte-progress.js';
import { copyCompanions } from '../copy-companions.js';
import { modelPlace, modelTarget, variantOption } from '../model-path.js';
import { wholeNumber } from '../options.js';
import { say } from '../say.js';

interface QuantizeOptions {
  readonly codec: string;
  readonly rule: readonly string[];
  readonly dtype: readonly string[];
  readonly minElements: number;
  readonly layout: 'fedstream' | 'bitsandbytes';
  readonly variant?: string;
  readonly sync: boolean;
  readonly json?: boolean;
}

/** The subcommand `quantize`. */
export function quantizeCommand(): Command {
  return new Command('quantize')
    .description('Code a model file: a safetensors file or a folder, plain or in shards, of f32, f16 or bf16.')
    .argument('<in>', 'safetensors file, or folder with model.safetensors or shards')
    .argument('<out>', 'file that ends in .safetensors, or folder')
    .option('--codec <name>', `one of ${codecNames(referenceCodecs).join(', ')}; blockwise8:256 is one with another block size`, 'nf4')
    .option('--rule <pattern=codec>', 'another codec for the tensors whose name matches, first match wins', collect, [])
    .option('--dtype <dtype=codec>', 'another codec for the tensors of a dtype that no rule names, as in BF16=fp32', collect, [])
    .option('--min-elements <count>', 'tensors with fewer elements stay as they are', wholeNumber(0), 0)
    .addOption(new Option('--layout <name>', 'how the file is laid out').choices(['fedstream', 'bitsandbytes']).default('fedstream'))
    .addOption(variantOption())
    .option('--sync', SYNC_HELP, false)
    .option('--json', 'print what was done as JSON on standard output')
    .addHelpText('after', QUANTIZE_HELP)
    .action(quantizeFile);
}

/**
 * Without `--sync`, as with cp, a crash of the machine may lose the file. A crash of the process
 * cannot: the file is written under another name and then renamed.
 */
const SYNC_HELP = 'wait until the disk has the file, so that it survives a crash of the machine too';

const QUANTIZE_HELP = `
Examples:
  $ fedstream quantize llama/ llama-nf4.safetensors
  $ fedstream quantize model.safetensors small/ --codec blockwise8 --rule "*norm*=fp32" --min-elements 4096
  $ fedstream quantize llama/ llama-bnb/ --codec nf4-nested --layout bitsandbytes
`;

/** The subcommand `dequantize`. */
export function dequantizeCommand(): Command {
  return new Command('dequantize')
    .description('Decode a coded model file, each tensor to its own dtype; a GGUF file too.')
    .argument('<in>', 'coded file, of FedStream, of bitsandbytes or of llama.cpp (GGUF), or folder with model.safetensors')
    .argument('<out>', 'file that ends in .safetensors, or folder (shards of 5 GB)')
    .addOption(
      new Option('--names <whose>', "names of a GGUF file's tensors: its own, or those of transformers, by default for a folder").choices([
        'file',
        'huggingface',
      ]),
    )
    .addOption(variantOption())
    .option('--sync', SYNC_HELP, false)
    .option('--json', 'print what was done as JSON on standard output')
    .addHelpText(
      'after',
      '\nExamples:\n  $ fedstream dequantize llama-nf4.safetensors llama/\n  $ fedstream dequantize qwen.Q8_0.gguf qwen/\n',
    )
    .action(dequantizeFile);
}

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

async function quantizeFile(from: string, to: string, options: QuantizeOptions): Promise<void> {
  const codecs = nodeCodecs();
  const policy = policyOf(options);
  const place = await modelPlace(from, options.variant);
  const source = await openPlace(place, codecs, nodeCodecMemory());
  try {
    if (isCoded(source))
      throw new FedStreamError('bad-argument', `${from} is coded already; decode it first with \`fedstream dequantize\``);
    const rules = encodingByPolicy(policy, codecs);
    const encodingFor = (tensor: TensorEntry): Encoding => (keepsItself(tensor, options.layout) ? RAW : rules(tensor));
    const { folder, name } = modelTarget(to);
    let saturated = 0;
    await reported(from, to, source.manifest, options.json, async (onBytes) => {
      const coded = encodeModel(watched(source, onBytes), encodingFor, codecs, (_tensor, report) => {
        saturated += report.saturated;
      });
      if (options.layout === 'bitsandbytes') await writeBitsandbytesModel(folder, name, coded, { durable: options.sync });
      else await writeCodedModel(folder, name, coded, codecs, { durable: options.sync });
    });
    if (!place.isFile && !to.endsWith('.safetensors')) copyCompanions(place.path, to, transformersConfig(options));
    if (saturated > 0) process.stderr.write(`${saturated} values beyond the range of fp16 were saturated\n`);
  } finally {
    await source.close?.();
  }
}

/**
 * `quantization_config` of a bitsandbytes model, for transformers; our own layout says it in the
 * file itself.
 */
function transformersConfig({ codec, layout }: QuantizeOptions) {
  if (layout !== 'bitsandbytes') return undefined;
  const { codec: type, nested = false } = parseCodecName(codec, nodeCodecs());
  return {
    quant_method: 'bitsandbytes',
    load_in_4bit: true,
    bnb_4bit_quant_type: type,
    bnb_4bit_use_double_quant: nested,
    bnb_4bit_quant_storage: 'uint8',
    bnb_4bit_compute_dtype: 'float32',
  };
}

/**
 * True for a tensor that is not coded: an empty one, and in the layout of bitsandbytes also
 * embeddings, norms and the head, since transformers cannot read these coded.
 */
function keepsItself({ name, shape }: TensorEntry, layout: QuantizeOptions['layout']): boolean {
  if (elementCount(shape) === 0) return true;
  return layout === 'bitsandbytes' && (shape.length !== 2 || /embed|lm_head/.test(name));
}

function policyOf({ codec, rule, dtype, minElements }: QuantizeOptions): Policy {
  const names = Object.fromEntries(rule.map(parseRule));
  const dtypes = Object.fromEntries(dtype.map(parseRule));
  const parsed = policySchema(nodeCodecs()).safeParse({ default: codec, names, dtypes, minElements });
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.flatMap(innermost);
  const custom = issues.find((one) => one.code === 'custom') ?? issues[0];
  throw new FedStreamError('bad-argument', custom?.message ?? 'the codec or a rule cannot be read');
}

function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code === 'invalid_union') return issue.errors.flat().flatMap(innermost);
  return issue.code === 'invalid_key' ? issue.issues.flatMap(innermost) : [issue];
}

function parseRule(rule: string): [string, string] {
  const at = rule.lastIndexOf('=');
  if (at > 0 && at < rule.length - 1) return [rule.slice(0, at), rule.slice(at + 1)];
  throw new FedStreamError('bad-argument', `the rule ${JSON.stringify(rule)} is not a pattern or a dtype and a codec, as in "*norm*=fp32"`);
}

interface DequantizeOptions {
  readonly json?: boolean;
  readonly sync: boolean;
  readonly variant?: string;
  readonly names?: GgufNames;
}

async function dequantizeFile(from: string, to: string, options: DequantizeOptions): Promise<void> {
  const place = await modelPlace(from, options.variant);
  const toFolder = !to.endsWith('.safetensors');
  const gguf = await isGguf(place);
  const names = gguf ? (options.names ?? (await ggufNames(place, toFolder, say))) : undefined;
  const source = names === undefined ? await openPlace(place, nodeCodecs()) : await openGgufDecoded(place, names);
  try {
    if (!gguf && !isCoded(source)) throw new FedStreamError('bad-argument', `${from} is not coded: there is nothing to decode`);
    const { folder, name } = modelTarget(to);
    const made = names === 'huggingface' && toFolder ? await ggufTexts(place) : undefined;
    await reported(from, to, source.manifest, options.json, async (onBytes) => {
      const decoded = decodeModel(watched(source, onBytes), nodeCodecs());
      if (name === MODEL_FILE && toFolder) await writeModel(folder, decoded, MAX_SHARD_BYTES, { durable: options.sync });
      else await writeSafetensors(folder, name, decoded, { durable: options.sync });
    });
    if (!place.isFile && toFolder) copyCompanions(place.path, to, undefined);
    if (made) await writeGgufTexts(made, folder);
    if (gguf && toFolder && place.isFile) await copyTokenizer(place.folder, folder);
  } finally {
    await source.close?.();
  }
}

/** `config.json` and the tokenizer of a model folder, as far as the file has them. */
async function writeGgufTexts({ texts, missing }: GgufTexts, folder: Folder): Promise<void> {
  for (const [name, text] of Object.entries(texts)) await writeText(folder, name, text);
  if (missing !== undefined) say(`${missing}; put tokenizer.json and tokenizer_config.json of the same model into the folder`);
}

/** A tokenizer that lies beside a GGUF file was put there for it. */
async function copyTokenizer(from: Folder, to: Folder): Promise<void> {
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    const text = await readText(from, name);
    if (text !== undefined) await writeText(to, name, text);
  }
}

/** Shows progress in bytes of the model's own dtypes, then prints what was done. */
async function reported(
  from: string,
  to: string,
  manifest: Manifest,
  json: boolean | undefined,
  work: (onBytes: (bytes: number) => void) => Promise<void>,
): Promise<void> {
  const modelBytes = manifest.tensors.reduce((total, { dtype, shape }) => total + dtypeBytes(dtype, elementCount(shape)), 0);
  const progress = byteProgress(to, modelBytes);
  const start = performance.now();
  try {
    await work(progress.add);
  } finally {
    progress.stop();
  }
  const seconds = (performance.now() - start) / 1000;
  const outBytes = await writtenBytes(to);
  if (json)
    process.stdout.write(
      `${JSON.stringify({ from, to, tensors: manifest.tensors.length, modelBytes, outBytes, seconds, peakRssBytes: peakRssBytes() })}\n`,
    );
  else process.stdout.write(`${from} → ${to}: ${mb(modelBytes)} MB of weights, file of ${mb(outBytes)} MB, in ${seconds.toFixed(1)} s\n`);
}

/** Bytes of the file, or of all shards. */
async function writtenBytes(to: string): Promise<number> {
  const { folder, name } = modelTarget(to);
  const single = await folder.sizeBytes(name);
  if (single !== undefined) return single;
  let bytes = 0;
  for (const shard of await folder.list()) if (shard.endsWith('.safetensors')) bytes += (await folder.sizeBytes(shard)) ?? 0;
  return bytes;
}

function mb(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(2);
}
