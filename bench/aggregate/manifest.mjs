// The model whose results are aggregated: layers of 32 MiB, or factors of LoRA.
const RAW = { codec: 'raw' };
const CHUNK_ELEMENTS = 2 ** 18;
const ROW = 1024;
const LAYER_ELEMENTS = 2 ** 23;
const WIDTH = 2048;

/** The manifest of a float32 model of about `mb` MiB. */
export function benchManifest({ mb, lora }) {
  const tensors = lora === undefined ? layers(mb * 2 ** 18) : factors(mb * 2 ** 18, lora);
  return { tensors, chunkElements: CHUNK_ELEMENTS, tied: {}, metadata: {} };
}

function layers(elements) {
  const tensors = [];
  for (let left = elements; left > 0; left -= LAYER_ELEMENTS) {
    const rows = Math.ceil(Math.min(left, LAYER_ELEMENTS) / ROW);
    tensors.push({ name: `layers.${tensors.length}.weight`, dtype: 'F32', shape: [rows, ROW], encoding: RAW });
  }
  return tensors;
}

/** Pairs of factors with the names that PEFT gives them. */
function factors(elements, rank) {
  const tensors = [];
  for (let layer = 0; layer * 2 * rank * WIDTH < elements; layer++) {
    const prefix = `base_model.model.model.layers.${layer}.mlp.down_proj`;
    tensors.push({ name: `${prefix}.lora_A.weight`, dtype: 'F32', shape: [rank, WIDTH], encoding: RAW });
    tensors.push({ name: `${prefix}.lora_B.weight`, dtype: 'F32', shape: [WIDTH, rank], encoding: RAW });
  }
  return tensors;
}
