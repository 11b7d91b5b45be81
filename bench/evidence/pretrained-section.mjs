// The section of the evidence page that shows bench/pretrained.mjs.
import { ARM_NAMES, SIZES } from '../pretrained/arms.mjs';
import { armsOf, groupBy, image, inOrder } from './groups.mjs';
import { curves, whiskers } from './plots.mjs';
import { wrap } from './prose.mjs';
import { compareArms } from './statistics.mjs';
import { markdown, mean, percent, powerText, TEST_HEADS, testCells, WIRE_HEADS, wireCells } from './tables.mjs';

/** {text, plots} with a table for each size, data and device; undefined if there are no rows. */
export function pretrainedSection(rows) {
  if (rows.length === 0) return undefined;
  const groups = [...groupBy(rows, ({ size, dtype, device, data }) => JSON.stringify([size, dtype, device, data])).values()];
  const plots = {};
  const parts = groups.map((some, index) => {
    const suffix = groups.length > 1 ? `-${index + 1}` : '';
    const names = { curves: `evidence-pretrained-curves${suffix}.svg`, whiskers: `evidence-pretrained${suffix}.svg` };
    const { order, arms } = comparedPretrained(some);
    const { data, size } = some[0];
    const kinds = Object.keys(data);
    plots[names.curves] = curves(
      `Held-out loss, mean of both kinds: ${size}, ${some[0].device}`,
      order.map((arm) => curveOf(some, arm, kinds)),
    );
    plots[names.whiskers] = whiskers('SmolLM2-135M-Instruct: final loss against fp32, mean of both kinds', [{ name: '', arms }]);
    const table = markdown(
      [
        'arm',
        'seeds',
        ...kinds.map((kind) => `loss ${kind}`),
        ...kinds.map((kind) => `${kind} against fp32`),
        ...TEST_HEADS,
        ...WIRE_HEADS,
      ],
      order.map((arm) =>
        pretrainedLine(
          some,
          arm,
          kinds,
          arms.find((one) => one.arm === arm),
        ),
      ),
    );
    return [
      settingText(some),
      image(names.curves, 'Held-out loss by round, a line a coding'),
      image(names.whiskers, 'Final loss against fp32'),
      table,
      wrap(powerText(arms)),
    ];
  });
  const intro = wrap(
    "The product's own processes: `fedstream simulate`, a server and sites that train all weights with transformers' Trainer (`bench/pretrained/sft.py`). Losses are those of the model folder that a run leaves, computed on it alone; those of a round, in the plots, are what the sites found of the model that they had received for it. The tests take the mean over both kinds of the logarithm of the loss.",
  );
  return { text: ['## A pretrained LLM: SmolLM2-135M-Instruct', intro, ...parts.flat()].filter(Boolean).join('\n\n'), plots };
}

function comparedPretrained(rows) {
  const value = ({ final }) => mean(Object.values(final).map(Math.log));
  const order = armsOf(rows, ARM_NAMES);
  return { order, arms: inOrder(compareArms(rows.map((row) => ({ arm: row.arm, seed: row.seed, value: value(row) }))), order) };
}

function settingText([row]) {
  const { sitesOfKind, rounds, localSteps, batchSize, maxTokens, heldOut } = SIZES[row.size];
  const data = Object.entries(row.data).map(
    ([kind, { name, sha256 }]) => `${kind} is ${name}${sha256 ? ` (SHA-256 ${sha256.slice(0, 16)}…)` : ''}`,
  );
  const before = Object.entries(row.initial).map(([kind, loss]) => `${loss.toFixed(4)} (${kind})`);
  const { torch, transformers } = row.versions;
  return wrap(
    `Size \`${row.size}\`: ${2 * sitesOfKind} sites of two kinds, ${rounds} rounds of ${localSteps} steps of ${batchSize} × ${maxTokens} tokens, ${heldOut} samples of each kind held out, weights in ${row.dtype}; ${row.device}, torch ${torch}, transformers ${transformers}. Data: ${data.join('; ')}. Loss before: ${before.join(', ')}.`,
  );
}

function curveOf(rows, arm, kinds) {
  const own = rows.filter((row) => row.arm === arm);
  const points = own.map(({ received, final }) => [...received, final].map((losses) => mean(kinds.map((kind) => losses[kind]))));
  return { name: arm, losses: points[0].map((_, round) => mean(points.map((one) => one[round]))) };
}

function pretrainedLine(rows, arm, kinds, compared) {
  const own = rows.filter((row) => row.arm === arm);
  const baseline = (seed) => rows.find((row) => row.arm === 'fp32' && row.seed === seed);
  const against = (kind) => {
    const pairs = own.filter(({ seed }) => arm !== 'fp32' && baseline(seed));
    return pairs.length > 0 ? percent(mean(pairs.map(({ seed, final }) => Math.log(final[kind] / baseline(seed).final[kind])))) : '';
  };
  const losses = kinds.map((kind) => mean(own.map(({ final }) => final[kind])).toFixed(4));
  return [arm, own.length, ...losses, ...kinds.map(against), ...testCells(compared), ...wireCells(own[0].bytes)];
}
