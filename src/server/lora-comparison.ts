// What sites of different ranks tell of their adapters, made comparable: ranks are those of the job,
// and the scalings of the products are alike or as the job says.
import { type Lora, siteRank } from '../job/lora.js';
import type { Fingerprints } from '../trainer/fingerprints.js';
import type { Contradiction } from './contradictions.js';

const RANK = 'adapter.r';
const ALPHA = 'adapter.lora_alpha';
const RSLORA = 'adapter.use_rslora';
/** The scaling of a site's products, less what the job says that it exceeds others by. */
const SCALING = 'adapter.scaling';
const DIGITS = 9;

/**
 * The fingerprints with a scaling in the place of rank and alpha, which differ on purpose; as they
 * are in a job without ranks.
 */
export function comparableRank(site: string, told: Fingerprints, lora: Lora): Fingerprints {
  const own = siteRank(lora, site);
  if (!own) return told;
  const { [RANK]: rank, [ALPHA]: alpha, ...others } = told;
  const [r, a] = [Number(rank), Number(alpha)];
  if (!(r > 0) || !Number.isFinite(a)) return others;
  const scaling = a / (told[RSLORA] === 'true' ? Math.sqrt(r) : r) / own.scale;
  return { ...others, [SCALING]: Number(scaling.toPrecision(DIGITS)).toString() };
}

/**
 * What a site of a job with ranks tells that cannot be: another rank than the job gives it, or
 * patterns, by which modules of one site would differ in another way than those of the next.
 */
export function wrongRank(site: string, told: Fingerprints, lora: Lora): Contradiction[] {
  const own = siteRank(lora, site);
  if (!own) return [];
  const wanted = [
    [RANK, String(own.rank)],
    ['adapter.rank_pattern', '{}'],
    ['adapter.alpha_pattern', '{}'],
  ] as const;
  return wanted.flatMap(([name, value]) => {
    const other = told[name];
    return other === undefined || other === value
      ? []
      : [
          {
            name,
            values: new Map([
              [value, ['the job']],
              [other, [site]],
            ]),
          },
        ];
  });
}
