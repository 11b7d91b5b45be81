// The head of a report: what ran, how it ended, and its key figures.
import type { Summary } from '../../record/summary-schema.js';
import { formatBytes, formatCount, formatLoss, formatSeconds, formatShare } from './format.js';
import { html, type Markup } from './markup.js';

/** Title, a line that says what ran, and a card for each key figure. */
export function keyFigures(summary: Summary): Markup {
  return html`<header>
<h1>${summary.run || 'A run without a name'}</h1>
<p class="what">${whatRan(summary).join(' · ')}</p>
<p class="state ${summary.reason === null ? 'open' : 'done'}">${state(summary)}</p>
</header>
<section aria-label="Key figures"><dl class="figures">
${[lossCard(summary), matchCard(summary), bytesCard(summary), card('Wall time', formatSeconds(summary.wallSeconds), roundsNote(summary)), memoryCard(summary)]}
</dl></section>`;
}

function whatRan({ codec, streaming, sites, seed, startedAt, parameters }: Summary): string[] {
  return [
    sites.length === 1 ? '1 site' : `${formatCount(sites.length)} sites`,
    codec && `codec ${codec}`,
    streaming && `streaming ${streaming}`,
    parameters === null ? '' : `${formatCount(parameters)} parameters`,
    seed === null ? '' : `seed ${seed}`,
    startedAt === null ? '' : `started ${startedAt.slice(0, 19).replace('T', ' ')} UTC`,
  ].filter((part) => part !== '');
}

function state({ reason, rounds, roundsPlanned }: Summary): string {
  const done = `${finished(rounds)} of ${roundsPlanned} rounds finished`;
  return reason === null ? `Not ended: ${done}. It runs, or it was cut off and can be resumed.` : `${done}: ${reason}`;
}

function lossCard({ initial, initialHeld, final }: Summary): Markup {
  if (!final)
    return card('Evaluation loss', initial ? formatLoss(initial.loss) : '–', initial ? 'of the initial model' : 'nothing was evaluated');
  const held = initialHeld ? `; the sites began with ${formatLoss(initialHeld.loss)}` : '';
  return card('Final loss', formatLoss(final.loss), initial ? `from ${formatLoss(initial.loss)}${held}` : `of round ${final.round}`);
}

function matchCard({ initial, final, best }: Summary): Markup {
  const last = final ?? initial;
  if (!last) return card('Exact match', '–', 'nothing was evaluated');
  if (last.exactMatch === null) return card('Exact match', '–', 'the sites’ trainer does not tell it');
  const note = [
    initial && initial.exactMatch !== null && final ? `from ${formatShare(initial.exactMatch)}` : `of ${formatCount(last.samples)} samples`,
  ];
  if (best && best.round !== last.round) note.push(`best model: round ${best.round}`);
  return card('Exact match', formatShare(last.exactMatch), note.join(', '));
}

function bytesCard({ bytes }: Summary): Markup {
  if (bytes.ratio === null) return card('Bytes on the wire', formatBytes(bytes.total), 'nothing was sent');
  return card(
    'Bytes on the wire',
    `${formatShare(bytes.ratio)}`,
    `of float32: ${formatBytes(bytes.total)} in place of ${formatBytes(bytes.fp32Total)}${ownNote(bytes)}`,
  );
}

/** The share of the checkpoint's own dtypes; empty if the checkpoint is float32. */
function ownNote({ ownTotal, fp32Total, ownRatio }: Summary['bytes']): string {
  return ownRatio === null || ownTotal === fp32Total ? '' : `; ${formatShare(ownRatio)} of the checkpoint’s own dtypes`;
}

function memoryCard({ peakRssBytes, peakRssBytesTotal }: Summary): Markup {
  const processes = Object.keys(peakRssBytes).length;
  if (processes === 0) return card('Peak memory', '–', 'not measured');
  return card(
    'Peak memory',
    formatBytes(peakRssBytesTotal),
    processes === 1 ? 'of one process' : `sum of the peaks of ${processes} processes`,
  );
}

function roundsNote({ rounds, steps }: Summary): string {
  const known = rounds.flatMap(({ seconds }) => (seconds === null ? [] : [seconds]));
  const mean = known.reduce((sum, seconds) => sum + seconds, 0) / known.length;
  return known.length > 0 ? `${formatSeconds(mean)} a round` : `${formatCount(steps)} optimizer steps`;
}

function finished(rounds: Summary['rounds']): number {
  return rounds.filter(({ seconds }) => seconds !== null).length;
}

function card(name: string, value: string, note: string): Markup {
  return html`<div><dt>${name}</dt><dd class="value">${value}</dd><dd class="note">${note}</dd></div>`;
}
