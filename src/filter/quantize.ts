// The pair of filters that code a model for the wire and decode it again.
import { decodeModel, encodeModel } from '../codec/quantize.js';
import type { Encoding, TensorEntry } from '../tensor/manifest.js';
import type { Filter } from './filter.js';

/** Codes each tensor as `encodingFor` says; counts the values that fp16 saturated. A non-finite value is an error that names tensor and index. */
export function quantize(encodingFor: (tensor: TensorEntry) => Encoding): Filter {
  return (model, context) =>
    encodeModel(model, encodingFor, context.codecs, (_tensor, report) => {
      if (report.saturated > 0) context.count('saturated', report.saturated);
    });
}

/** Decodes every tensor to its own dtype. */
export function dequantize(): Filter {
  return (model, context) => decodeModel(model, context.codecs);
}
