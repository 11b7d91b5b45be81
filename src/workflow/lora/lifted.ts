// Results of sites with smaller ranks as results of the global adapter's rank.
import type { CodecTable } from '../../codec/codec.js';
import { inFloat32 } from '../../codec/float32.js';
import { decodeModel } from '../../codec/quantize.js';
import { sumModel } from '../../exchange/reduce.js';
import { type Lora, largestRank, siteRank } from '../../job/lora.js';
import { withRank } from '../../tensor/lora-rank.js';
import { tensorsOf } from '../../tensor/select-tensors.js';
import type { StateDict } from '../../tensor/state-dict.js';
import type { Contribution } from '../aggregate/aggregator.js';

/**
 * The result as whole weights of the largest rank, with zeros in the place of directions that its
 * site does not train (Cho et al. 2024, HetLoRA), and its products scaled as the global adapter
 * scales them. Lazy.
 */
export function lifted(result: Contribution, lora: Lora, { codecs }: { readonly codecs: CodecTable }): Contribution {
  const own = siteRank(lora, result.site);
  const rank = largestRank(lora);
  if (!own || rank === undefined) return result;
  return { ...result, model: withRank(wholeOf(result, codecs), rank, own.scale), isUpdate: false, base: undefined };
}

/** What the site has trained, in float32. */
function wholeOf({ model, base, site }: Contribution, codecs: CodecTable): StateDict {
  if (!base) return decodeModel(inFloat32(model), codecs);
  return sumModel({ addends: [{ model, weight: 1 }], base: tensorsOf(base, model.manifest), codecs, what: `the result of ${site}` });
}
