// The fingerprints that follow from the texts of a model folder, computed as every program of the
// bridge does (docs/spec/trainer-bridge.md).
import { sha256Hex } from '../core/hex.js';
import type { Fingerprints } from './fingerprints.js';

type Value = null | boolean | number | string | readonly Value[] | { readonly [key: string]: Value };
type Fields = { readonly [key: string]: Value };

/** The fields of `config.json` that decide what a model computes. */
export const BASE_FIELDS = [
  'model_type',
  'vocab_size',
  'hidden_size',
  'intermediate_size',
  'num_hidden_layers',
  'num_attention_heads',
  'num_key_value_heads',
  'head_dim',
  'hidden_act',
  'rms_norm_eps',
  'layer_norm_eps',
  'layer_norm_epsilon',
  'rope_theta',
  'tie_word_embeddings',
  'sliding_window',
  'n_embd',
  'n_layer',
  'n_head',
  'd_model',
  'num_layers',
] as const;

/** Fields of `adapter_config.json` that may differ between adapters whose average means something. */
const ADAPTER_LEFT_OUT =
  /^(base_model_name_or_path|revision|inference_mode|auto_mapping|parent_library|peft_version|task_type|init_.*|megatron_.*|.*dropout|.*_config|.*_path)$/;

const SEEN = /^[ -~]{1,64}$/;

/**
 * The fingerprints of a model folder's `config.json`, `adapter_config.json` and `tokenizer.json`, of
 * those that there are. A text that cannot be read tells nothing: whoever uses it says so.
 */
export async function modelFingerprints(files: Readonly<Record<string, string | undefined>>): Promise<Fingerprints> {
  const config = parsed(files['config.json']);
  const adapter = parsed(files['adapter_config.json']);
  const found: Record<string, string> = {};
  for (const field of BASE_FIELDS) {
    const value = config[field] ?? (field === 'rope_theta' ? fieldsOf(config.rope_parameters).rope_theta : undefined);
    if (value !== undefined && value !== null) found[`base.config.${field}`] = await fieldValue(value);
  }
  for (const [field, value] of Object.entries(adapter))
    if (!ADAPTER_LEFT_OUT.test(field)) found[`adapter.${field}`] = await fieldValue(value);
  if (config.id2label !== undefined && config.id2label !== null) found.labels = await fieldValue(config.id2label);
  const vocabulary = vocabularyOf(parsed(files['tokenizer.json']));
  if (vocabulary.length > 0) found.tokenizer = await digestOf(vocabulary);
  return found;
}

/** The value of a field of a configuration: a short text as it is, or a digest. */
export async function fieldValue(value: Value): Promise<string> {
  const ordered = Array.isArray(value) && value.every((one) => typeof one === 'string') ? [...value].sort() : value;
  const text = typeof ordered === 'string' ? ordered : canonicalJson(ordered);
  return SEEN.test(text) ? text : digestOf(ordered);
}

/** JSON as RFC 8785 has it: ECMAScript's own texts of numbers and strings, keys in order of their UTF-16. */
export function canonicalJson(value: Value): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  // An object of JavaScript would put keys that are numbers first.
  const members = Object.entries(value as Fields).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, inner]) => `${JSON.stringify(key)}:${canonicalJson(inner)}`).join(',')}}`;
}

async function digestOf(value: Value): Promise<string> {
  return `sha256-${await sha256Hex(canonicalJson(value))}`;
}

/** All tokens as `[id, token]`, in order. */
function vocabularyOf(tokenizer: Fields): readonly (readonly [number, string])[] {
  const ids = new Map<string, number>();
  const { vocab } = fieldsOf(tokenizer.model);
  if (Array.isArray(vocab)) vocab.forEach((entry, id) => void ids.set(String(Array.isArray(entry) ? entry[0] : entry), id));
  else for (const [token, id] of Object.entries(fieldsOf(vocab))) ids.set(token, Number(id));
  for (const added of Array.isArray(tokenizer.added_tokens) ? tokenizer.added_tokens : []) {
    const { id, content } = fieldsOf(added);
    if (typeof content === 'string') ids.set(content, Number(id));
  }
  const all = [...ids].map(([token, id]) => [id, token] as const);
  return all.sort(([a, left], [b, right]) => a - b || (left < right ? -1 : 1));
}

function fieldsOf(value: Value | undefined): Fields {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Fields) : {};
}

function parsed(text: string | undefined): Fields {
  if (text === undefined) return {};
  try {
    return fieldsOf(JSON.parse(text) as Value);
  } catch {
    return {};
  }
}
