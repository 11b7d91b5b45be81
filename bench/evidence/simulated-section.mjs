// The section of the evidence page that shows the simulated exchange.
import { groupBy } from './groups.mjs';
import { percentOf, signed } from './plots.mjs';
import { wrap } from './prose.mjs';
import { markdown } from './tables.mjs';

/**
 * {text, plots} of rows {study, arm, label, seed, before, curve} with [gsm8k, role play] as losses;
 * undefined if there are none.
 */
export function simulatedSection(rows) {
  if (rows.length === 0) return undefined;
  const title = {
    full: 'All weights: one H200, 4 sites, 5 rounds of 25 steps of 16 × 256 tokens',
    lora: 'LoRA of rank 16: two CPU cores, 3 sites, 3 rounds of 8 steps of 4 × 128 tokens',
  };
  const parts = [...groupBy(rows, ({ study }) => study)].flatMap(([study, some]) => [`### ${title[study]}`, simulatedTable(some)]);
  const intro = wrap(
    'An earlier run of the same model simulated the exchange inside one program, without processes, filters or transport, to choose the codings, on one H200 and, with LoRA, on two CPU cores: gsm8k at half of the sites, role play (GPTeacher) at the others, seeds paired. *Whole* means that weights were coded, as the paper has it, and not updates; *first* is what the first broadcast was coded in. Few seeds: a difference below the floor says nothing, and no test is made of them.',
  );
  return { text: ['## The exchange simulated', intro, ...parts].join('\n\n'), plots: {} };
}

function simulatedTable(rows) {
  const seeds = [...new Set(rows.map(({ seed }) => seed))].sort();
  const last = (arm, seed) => rows.find((row) => row.arm === arm && row.seed === seed)?.curve.at(-1);
  const arms = [...new Set(rows.map(({ arm }) => arm))];
  const kinds = ['gsm8k', 'role play'];
  const losses = (arm, kind) => seeds.flatMap((seed) => last(arm, seed)?.[kind].toFixed(4) ?? []).join(' ');
  const against = (arm, kind) => {
    if (arm === 'fp32') return '';
    const logs = seeds.flatMap((seed) =>
      last(arm, seed) && last('fp32', seed) ? [Math.log(last(arm, seed)[kind] / last('fp32', seed)[kind])] : [],
    );
    return logs.map((log) => signed(percentOf(log))).join(' ');
  };
  const before = rows[0].before;
  return [
    wrap(
      `Held-out loss before: ${kinds.map((kind, i) => `${before[i].toFixed(4)} (${kind})`).join(', ')}. Seeds ${seeds.join(', ')}${seeds.length > 1 ? '; an arm with fewer figures ran with the first of them' : ''}.`,
    ),
    markdown(
      ['arm', ...kinds, ...kinds.map((kind) => `${kind} against fp32, %`)],
      arms.map((arm) => [
        rows.find((row) => row.arm === arm).label,
        ...[0, 1].map((kind) => losses(arm, kind)),
        ...[0, 1].map((kind) => against(arm, kind)),
      ]),
    ),
  ].join('\n\n');
}
