// Copies the small files beside a model's weights (configuration, tokenizer, licence) to another
// folder.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Json } from '../core/json.js';

/** Names of weights, in any format, and of their indices: these are not copied. */
const WEIGHTS = /\.(safetensors|bin|pt|pth|gguf|h5|msgpack|onnx|index\.json|part)$/;
const MAX_COMPANION_BYTES = 64 * 2 ** 20;

/**
 * Copies every small plain file of one model folder into another. In `config.json`, `quantization`
 * becomes `quantization_config`; undefined removes that field.
 */
export function copyCompanions(from: string, to: string, quantization: { readonly [key: string]: Json } | undefined): void {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) {
    const path = join(from, name);
    const found = statSync(path, { throwIfNoEntry: false });
    if (!found?.isFile() || found.size > MAX_COMPANION_BYTES || WEIGHTS.test(name)) continue;
    if (name === 'config.json') copyConfig(path, join(to, name), quantization);
    else copyFileSync(path, join(to, name));
  }
}

function copyConfig(from: string, to: string, quantization: { readonly [key: string]: Json } | undefined): void {
  const config = JSON.parse(readFileSync(from, 'utf8')) as Record<string, Json>;
  if (quantization) config.quantization_config = quantization;
  else delete config.quantization_config;
  writeFileSync(to, `${JSON.stringify(config, null, 2)}\n`);
}
