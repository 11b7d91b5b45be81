// The sections of the evidence page that show studies A and T: each rule under each attack against
// five honest sites and the mean.
import { RULES } from '../convergence/attacks.mjs';
import { STUDIES } from '../convergence/studies.mjs';
import { groupBy } from './groups.mjs';
import { wrap } from './prose.mjs';
import { holm, pairedTests } from './statistics.mjs';
import { markdown, mean, percent } from './tables.mjs';

/** A rule holds if its loss is at most so much above that of honest sites. */
const MARGIN = Math.log(1.05);
const LEVEL = 0.05;

const WORDS = {
  none: 'All five sites are honest',
  reversed: 'The liar sends −10 times its update',
  noise: 'The liar sends noise of the norm of its update',
  'wrong answers': 'The answers of the liar’s data belong to other questions',
  'another task': 'The liar learns another task: the generated ones',
};

/** How each study begins. */
const BEGINNINGS = {
  A: () => 'The trained model of study P goes on with the data of study P',
  T: ([{ text }]) =>
    `A model of the size of study P, trained on the beginnings of half of the texts of ${text.name} (SHA-256 ${text.sha256.slice(0, 16)}…), goes on with the other half; text has a floor of loss, unlike the generated tasks`,
};

const METHOD =
  'The last site lies in every round. An arm is a rule of [robust.md](robust.md) in place of the mean, with the job’s own bound on norms off (`normBound`: `"off"`). What is compared is ln(final loss / final loss of `fedAvg` with five honest sites), by seed. *Within 5 %* tests whether the mean lies below +5 %, with Holm’s correction over the rules of the table; “holds” means below .05.';
const BOUNDED = ' The arm `fedAvg-bounded` has the bound on norms at 10.';

/** {text, plots} of study A or T; undefined if it has no rows. */
export function attacksSection(name, all) {
  const rows = all.filter(({ study }) => study === name);
  const honest = new Map(rows.filter(({ attack, arm }) => attack === 'none' && arm === 'fedAvg').map(({ seed, final }) => [seed, final]));
  if (honest.size === 0) return undefined;
  const parts = [...groupBy(rows, ({ attack }) => attack)].flatMap(([attack, some]) => [
    `### ${WORDS[attack]}`,
    markdown(['rule', 'seeds', 'mean loss', 'against honest sites', '95 % interval', 'within 5 %, p', 'in words'], linesOf(some, honest)),
  ]);
  return {
    text: [
      `## ${name}: ${STUDIES[name].title}`,
      wrap(
        `${BEGINNINGS[name](rows)}, in equal shares of the same kind at five sites; updates travel in u4 with error feedback. ${METHOD}${name === 'A' ? BOUNDED : ''}`,
      ),
      wrap(`The loss before training was ${mean(rows.map(({ initial }) => initial)).toFixed(3)} nats a token (mean over the runs).`),
      ...parts,
    ].join('\n\n'),
    plots: {},
  };
}

function linesOf(rows, honest) {
  const arms = Object.keys(RULES).flatMap((arm) => {
    const own = rows.filter((row) => row.arm === arm && honest.has(row.seed));
    if (own.length === 0) return [];
    return [
      {
        arm,
        own,
        tests: pairedTests(
          own.map(({ seed, final }) => Math.log(final / honest.get(seed))),
          MARGIN,
        ),
      },
    ];
  });
  const tested = arms.filter(({ arm, tests, own }) => tests.count > 1 && !(arm === 'fedAvg' && own[0].attack === 'none'));
  const corrected = new Map(holm(tested.map(({ tests }) => tests.nonInferiority)).map((p, i) => [tested[i].arm, p]));
  return arms.map(({ arm, own, tests }) => {
    const loss = mean(own.map(({ final }) => final)).toFixed(4);
    const isHonest = arm === 'fedAvg' && own[0].attack === 'none';
    if (isHonest) return [arm, own.length, loss, '', '', '', 'what the others are held against'];
    const p = corrected.get(arm);
    const interval = tests.interval ? `${percent(tests.interval[0])} to ${percent(tests.interval[1])}` : '';
    return [arm, own.length, loss, percent(tests.mean), interval, p === undefined ? '' : figure(p), verdict(tests, p)];
  });
}

const figure = (p) => (p < 0.001 ? '< .001' : p.toFixed(3).replace(/^0/, ''));

/** The conclusion in words, from the corrected p value and the interval. */
function verdict({ interval }, p) {
  if (p === undefined) return 'one pair: no test';
  if (p < LEVEL) return 'holds';
  return interval[0] > MARGIN ? '**does not hold**' : 'undecided';
}
