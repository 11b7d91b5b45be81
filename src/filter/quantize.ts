// Two filters that code a model for sending and decode it again.
import { z } from 'zod';
import type { CodecTable } from '../codec/codec.js';
import { decodeModel, encodeModel } from '../codec/quantize.js';
import { type Row, row } from '../core/row.js';
import { type Encoding, RAW, type TensorEntry } from '../tensor/manifest.js';
import type { Filter } from './filter.js';
import { encodingByPolicy, policySchema } from './policy.js';

/**
 * Codes each tensor in its encoding by `encodingFor`; counts the values that fp16 saturated. A
 * non-finite value is an error that names the tensor and the index.
 */
export function quantize(encodingFor: (tensor: TensorEntry) => Encoding): Filter {
  return {
    on: 'either',
    manifest: (manifest) => ({ ...manifest, tensors: manifest.tensors.map((tensor) => coded(tensor, encodingFor)) }),
    apply: (model, context) =>
      encodeModel(model, encodingFor, context.codecs, (_tensor, report) => {
        if (report.saturated > 0) context.count('saturated', report.saturated);
      }),
  };
}

/** Decodes every tensor to its own dtype. */
export function dequantize(): Filter {
  return {
    on: 'either',
    manifest: (manifest) => ({ ...manifest, tensors: manifest.tensors.map((tensor) => ({ ...tensor, encoding: RAW })) }),
    apply: (model, context) => decodeModel(model, context.codecs),
  };
}

/** The row `quantize`, whose option is a policy over these codecs. */
export function quantizeRow(codecs: CodecTable): Row<Filter> {
  return row('quantize', z.strictObject({ codec: policySchema(codecs) }), ({ codec }) => quantize(encodingByPolicy(codec, codecs)));
}

/** The row `dequantize`; it has no options. */
export const dequantizeRow = row('dequantize', z.strictObject({}), dequantize);

function coded(tensor: TensorEntry, encodingFor: (tensor: TensorEntry) => Encoding): TensorEntry {
  return tensor.encoding.codec === 'raw' ? { ...tensor, encoding: encodingFor(tensor) } : tensor;
}
