// Makes the page docs/evidence.md and its plots from the rows of both benchmarks.
import { STUDIES } from '../convergence/studies.mjs';
import { adaptersSection } from './adapters-section.mjs';
import { attacksSection } from './attacks-section.mjs';
import { convergenceSection } from './convergence-section.mjs';
import { pretrainedSection } from './pretrained-section.mjs';
import { wrap } from './prose.mjs';
import { simulatedSection } from './simulated-section.mjs';

const INTRO = `# Evidence
${wrap(`Whether messages that are coded cost quality: what was run, and what it shows. \`node bench/evidence.mjs\` makes this page of the rows in \`bench/pretrained/\` and \`bench/convergence/\`, which \`node bench/pretrained.mjs\` and \`node bench/convergence.mjs\` measure; \`--help\` of each says how.`)}

## Method
${[
  'An arm is a way of coding the messages (`quantize` in [the job](job.md)); everything else of a run is the same. Seeds are paired: with one seed, every arm begins with the same weights and sees the same batches in the same order.',
  'What is compared is ln(final loss of the arm / final loss of fp32), on held-out samples. The interval is that of the mean by Student’s t. *Difference* tests whether the mean is zero. *Equivalence* is two one-sided tests (TOST) of whether it lies within ±1 %. *Not worse* tests whether it lies below +1 %. Each column of p values has Holm’s correction over the arms of its table; significant means below .05.',
  'The *floor* arm is fp32 with the same batches in two halves: the same mathematics, added in another order. How far it is from fp32 is how far runs differ that no coding parts.',
  '`lean` is u4 down and u1 up, `paper:nf4` codes whole weights both ways, `nf4-first` is nf4 with the first broadcast in nf4 as well, `u1-feedback` is u4 down and u1 up with error feedback. A codec’s bare name is that codec both ways.',
  'What coding leaves over waits at a site in 16 bits (bfloat16) in studies S, P and N. Rows of the pretrained model, of adapters and of studies A and T were measured before, when it waited in 32 bits; of the arms of S with error feedback, with the same seeds, none ended further than 0.33 % from where it had ended then, and u4 and nf4 no further than 0.04 %.',
  'A test that does not find a difference has not shown that there is none: that is what equivalence is for, and a line says “undecided” where neither was found.',
]
  .map((text) => `- ${wrap(text, 98).replaceAll('\n', '\n  ')}`)
  .join('\n')}`;

/** {page, plots by name}; leaves out sections without rows. */
export function evidencePage({ convergence, pretrained, adapters = [], simulated }) {
  const sections = [
    pretrainedSection(pretrained),
    adaptersSection(adapters),
    ...Object.keys(STUDIES).map((name) =>
      STUDIES[name].settings[0].attack ? attacksSection(name, convergence) : convergenceSection(name, convergence),
    ),
    simulatedSection(simulated),
  ].filter(Boolean);
  return {
    page: `${[INTRO, ...sections.map(({ text }) => text)].join('\n\n')}\n`,
    plots: Object.assign({}, ...sections.map(({ plots }) => plots)),
  };
}
