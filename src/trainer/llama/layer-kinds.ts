// Differences between the layers of one model: a sliding window, or no rotary embedding.
import { FedStreamError } from '../../core/errors.js';
import type { ModelType } from './families.js';
import { shown } from './known-fields.js';

/** The fields of `config.json` that say it; those of other architectures are undefined. */
export interface LayerFields {
  readonly num_hidden_layers: number;
  readonly sliding_window?: number | null | undefined;
  readonly use_sliding_window?: boolean | undefined;
  readonly max_window_layers?: number | undefined;
  readonly layer_types?: readonly string[] | null | undefined;
  readonly no_rope_layers?: readonly number[] | null | undefined;
  readonly no_rope_layer_interval?: number | undefined;
}

/** For each layer; undefined where no layer differs. */
export interface LayerKinds {
  readonly windows: readonly (number | undefined)[] | undefined;
  readonly unrotated: readonly boolean[] | undefined;
}

/** Layers below this one see all positions, unless `config.json` says another (Qwen2, Qwen3). */
const MAX_WINDOW_LAYERS = 28;
const NO_ROPE_INTERVAL = 4;

/** Reads the kinds of the layers as transformers does; throws `bad-model` where fields disagree. */
export function readLayerKinds(type: ModelType, fields: LayerFields, source: string): LayerKinds {
  const { num_hidden_layers: layers } = fields;
  const unrotated = type === 'smollm3' ? unrotatedLayers(fields, source) : undefined;
  const window = windowOf(type, fields);
  const slides = slidingLayers(type, fields, window, unrotated);
  const types = fields.layer_types ?? undefined;
  if (types) {
    if (types.length !== layers)
      throw new FedStreamError('bad-model', `${source}: layer_types has ${types.length} entries for ${layers} layers`);
    const unknown = types.find((kind) => kind !== 'full_attention' && kind !== 'sliding_attention');
    if (unknown !== undefined)
      throw new FedStreamError('bad-model', `${source}: layer_types has ${shown(unknown)}, which the built-in trainer does not know`);
    const stated = types.map((kind) => kind === 'sliding_attention');
    if (stated.includes(true) && window === undefined)
      throw new FedStreamError(
        'bad-model',
        `${source}: layer_types has "sliding_attention", and there is no sliding_window in use to say how far it sees`,
      );
    // Mistral in transformers passes over layer_types, and a list that says something else is another model.
    if (type === 'mistral' && stated.some((slide, layer) => slide !== slides[layer]))
      throw new FedStreamError(
        'bad-model',
        `${source}: layer_types and sliding_window disagree: in a mistral model all layers slide, or none`,
      );
    return { windows: windows(stated, window), unrotated };
  }
  return { windows: windows(slides, window), unrotated };
}

/** The window in use; undefined if there is none. */
function windowOf(type: ModelType, { sliding_window, use_sliding_window }: LayerFields): number | undefined {
  if (type === 'llama' || (type !== 'mistral' && use_sliding_window !== true)) return undefined;
  // Missing, not null: the default of the configuration classes.
  return sliding_window === undefined ? (type === 'smollm3' ? undefined : 4096) : (sliding_window ?? undefined);
}

/** The layers that slide where no `layer_types` says it. */
function slidingLayers(type: ModelType, fields: LayerFields, window: number | undefined, unrotated: LayerKinds['unrotated']): boolean[] {
  return Array.from({ length: fields.num_hidden_layers }, (_, layer) => {
    if (window === undefined) return false;
    if (type === 'mistral') return true;
    if (type === 'smollm3') return unrotated?.[layer] === true;
    return layer >= (fields.max_window_layers ?? MAX_WINDOW_LAYERS);
  });
}

function windows(slides: readonly boolean[], window: number | undefined): LayerKinds['windows'] {
  return slides.includes(true) ? slides.map((slide) => (slide ? window : undefined)) : undefined;
}

/** SmolLM3: 1 stands for a layer that rotates, 0 for one that does not. */
function unrotatedLayers(
  { no_rope_layers, no_rope_layer_interval, num_hidden_layers }: LayerFields,
  source: string,
): LayerKinds['unrotated'] {
  const interval = no_rope_layer_interval ?? NO_ROPE_INTERVAL;
  const given = no_rope_layers ?? Array.from({ length: num_hidden_layers }, (_, layer) => ((layer + 1) % interval === 0 ? 0 : 1));
  if (given.length < num_hidden_layers)
    throw new FedStreamError('bad-model', `${source}: no_rope_layers has ${given.length} entries for ${num_hidden_layers} layers`);
  const found = given.slice(0, num_hidden_layers).map((rotates) => rotates === 0);
  return found.includes(true) ? found : undefined;
}
