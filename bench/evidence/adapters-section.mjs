// The section of the evidence page that shows the ways of averaging an adapter side by side.
import { SIZES } from '../pretrained/arms.mjs';
import { groupBy } from './groups.mjs';
import { wrap } from './prose.mjs';
import { markdown, mean, percent } from './tables.mjs';

/** The arm that the others are held against. */
const BASELINE = 'factors';
const MB = 1e6;

/** {text, plots} of the rows of bench/pretrained.mjs with an adapter; undefined if there are none. */
export function adaptersSection(rows) {
  if (rows.length === 0) return undefined;
  const intro = wrap(
    'The four ways of averaging an adapter ([lora.md](lora.md)), over the product’s own processes as above: `factors` averages A and B, `ffa` trains B alone, `exact` carries along what the means of the factors lack, `svd` is the best adapter for the mean of the products.',
  );
  const groups = [...groupBy(rows, ({ size, device, data }) => JSON.stringify([size, device, data])).values()];
  return { text: ['## Adapters of a pretrained LLM', intro, ...groups.flatMap(partOf)].join('\n\n'), plots: {} };
}

function partOf(rows) {
  const [{ size, data, device, initial }] = rows;
  const kinds = Object.keys(data);
  const { sitesOfKind, rounds, localSteps, batchSize, maxTokens, adapter } = SIZES[size];
  const seeds = [...new Set(rows.map(({ seed }) => seed))].sort((a, b) => a - b);
  const before = Object.entries(initial).map(([kind, loss]) => `${loss.toFixed(4)} (${kind})`);
  const sites = kinds.map((kind) => `${sitesOfKind[kind]} of kind ${kind} (${data[kind].name})`).join(' and ');
  const one = seeds.length === 1 ? ' One seed: no test is made of it.' : '';
  const arms = [...new Set(rows.map(({ arm }) => arm))];
  return [
    wrap(
      `Size \`${size}\`: LoRA of rank ${adapter.rank}, sites: ${sites}, ${rounds} rounds of ${localSteps} steps of ${batchSize} × ${maxTokens} tokens; ${device}. Loss before: ${before.join(', ')}. Seeds ${seeds.join(', ')}.${one}`,
    ),
    markdown(
      ['arm', ...kinds.map((kind) => `loss ${kind}`), ...kinds.map((kind) => `${kind} against factors`), 'MB up', 'MB down'],
      arms.map((arm) => lineOf(rows, arm, kinds)),
    ),
  ];
}

function lineOf(rows, arm, kinds) {
  const own = rows.filter((row) => row.arm === arm);
  const pairs = own.flatMap((row) => {
    const other = rows.find(({ arm: name, seed }) => name === BASELINE && seed === row.seed);
    return other && arm !== BASELINE ? [[row, other]] : [];
  });
  const against = (kind) =>
    pairs.length > 0 ? percent(mean(pairs.map(([row, other]) => Math.log(row.final[kind] / other.final[kind])))) : '';
  const losses = kinds.map((kind) => mean(own.map(({ final }) => final[kind])).toFixed(4));
  const { up, down } = own[0].bytes;
  return [arm, ...losses, ...kinds.map(against), (up / MB).toFixed(0), (down / MB).toFixed(0)];
}
