// The sections of the evidence page that show bench/convergence.mjs.
import { STUDIES } from '../convergence/studies.mjs';
import { armsOf, groupBy, image, inOrder } from './groups.mjs';
import { whiskers } from './plots.mjs';
import { wrap } from './prose.mjs';
import { compareArms } from './statistics.mjs';
import { markdown, mean, powerText, TEST_HEADS, testCells, WIRE_HEADS, wireCells } from './tables.mjs';

/** {text, plots} of a study; undefined if it has no rows. */
export function convergenceSection(name, all) {
  const rows = all.filter(({ study }) => study === name);
  if (rows.length === 0) return undefined;
  const { title, arms: order } = STUDIES[name];
  const settings = [...groupBy(rows, ({ alpha }) => alpha)].map(([alpha, some]) => ({
    name: alpha === undefined ? title : `Dirichlet(${alpha})`,
    rows: some,
    arms: inOrder(compareArms(some.map(({ arm, seed, final }) => ({ arm, seed, value: Math.log(final) }))), order),
  }));
  const plot = `evidence-${name.toLowerCase()}.svg`;
  const parts = settings.flatMap(({ name: setting, rows: some, arms }) => [
    ...(settings.length > 1 ? [`### ${setting}`] : []),
    markdown(
      ['arm', 'seeds', 'mean loss', ...TEST_HEADS, ...WIRE_HEADS],
      armsOf(some, order).map((arm) => {
        const own = some.filter((row) => row.arm === arm);
        const loss = mean(own.map(({ final }) => final)).toFixed(4);
        return [arm, own.length, loss, ...testCells(arms.find((one) => one.arm === arm)), ...wireCells(own[0].bytes)];
      }),
    ),
    wrap(powerText(arms)),
  ]);
  const before = wrap(
    `The held-out loss before training was ${mean(rows.map(({ initial }) => initial)).toFixed(3)} nats a token (mean over the seeds).`,
  );
  return {
    text: [`## ${name}: ${title}`, before, image(plot, `Study ${name}: final loss of each coding against fp32`), ...parts]
      .filter(Boolean)
      .join('\n\n'),
    plots: { [plot]: whiskers(`Study ${name}: ${title}`, settings) },
  };
}
