// The tables of a report: every round by site, evaluation by category, memory by process, the
// settings of the job.
import type { EvaluationSummary, RoundSummary, SiteRoundSummary, Summary } from '../../record/summary-schema.js';
import { formatBytes, formatCount, formatLoss, formatSeconds, formatShare } from './format.js';
import { html, type Markup } from './markup.js';

/** Rows of a table at most: a page with more is slow to open, and `summary.json` has all. */
const ROWS_SHOWN = 1000;

/** A row for each round and site, with the evaluation of each round's model. */
export function roundsTable({ rounds, evaluations, personal = [], initialHeld }: Summary): Markup {
  const byRound = new Map(evaluations.map((evaluation) => [evaluation.round, evaluation]));
  const own = new Map(personal.map((evaluation) => [evaluation.round, evaluation]));
  const initial = byRound.get(0);
  const shown = fitting(rounds);
  return html`${scrolling(
    'Rounds by site',
    html`<table>
<thead><tr><th scope="col">Round</th><th scope="col">Site</th>${['Training loss', 'Samples', 'Steps', 'Down', 'Up', 'Of float32', 'Taken up again'].map(numberHead)}</tr></thead>
${initial && html`<tbody><tr class="round"><th scope="rowgroup">0</th><td colspan="8">initial model${evaluationNote(initial)}${initialHeld && html`; as the sites began with it:${evaluationNote(initialHeld)}`}</td></tr></tbody>`}
${shown.map((round) => roundRows(round, byRound.get(round.round), own.get(round.round)))}
</table>`,
  )}
${shown.length < rounds.length && html`<p class="note">The first ${shown.length} of ${rounds.length} rounds; summary.json has all.</p>`}`;
}

function roundRows(
  { round, seconds, reduceSeconds, sites }: RoundSummary,
  evaluation: EvaluationSummary | undefined,
  personal: EvaluationSummary | undefined,
): Markup {
  const time = seconds === null ? 'not finished' : formatSeconds(seconds);
  const reduce = reduceSeconds === null ? '' : `, of these ${formatSeconds(reduceSeconds)} to average`;
  return html`<tbody><tr class="round"><th scope="rowgroup">${round}</th><td colspan="8">${time}${reduce}${evaluation && evaluationNote(evaluation)}${personal && html`; the sites' own models:${evaluationNote(personal)}`}</td></tr>
${Object.entries(sites).map(([site, figures]) => siteRow(site, figures))}</tbody>`;
}

function evaluationNote({ loss, exactMatch, samples }: EvaluationSummary): Markup {
  const match = exactMatch !== null && html` · exact match <b>${formatShare(exactMatch)}</b>`;
  return html` · evaluation loss <b>${formatLoss(loss)}</b>${match} of ${formatCount(samples)}`;
}

function siteRow(site: string, figures: SiteRoundSummary): Markup {
  const { trainLoss, samples, steps, bytesDown, bytesUp, fp32BytesDown, fp32BytesUp, retries } = figures;
  const fp32 = fp32BytesDown + fp32BytesUp;
  const cells = [
    trainLoss === null ? 'no result' : formatLoss(trainLoss),
    samples === null ? '–' : formatCount(samples),
    steps === null ? '–' : formatCount(steps),
    formatBytes(bytesDown),
    formatBytes(bytesUp),
    fp32 === 0 ? '–' : formatShare((bytesDown + bytesUp) / fp32),
    retries === 0 ? '–' : formatCount(retries),
  ];
  return html`<tr><td></td><th scope="row">${site}</th>${cells.map(numberCell)}</tr>`;
}

/** The rounds that fit into the page, whole, and at least one. */
function fitting(rounds: readonly RoundSummary[]): readonly RoundSummary[] {
  let rows = 0;
  const end = rounds.findIndex(({ sites }, index) => {
    rows += Object.keys(sites).length + 1;
    return rows > ROWS_SHOWN && index > 0;
  });
  return end < 0 ? rounds : rounds.slice(0, end);
}

/**
 * Exact match of the initial and the final model by category of the data; undefined if the
 * evaluation has no categories.
 */
export function categoryTable({ initial, final }: Summary): Markup | undefined {
  const last = final ?? initial;
  if (!last?.byCategory) return undefined;
  const before = final ? initial?.byCategory : undefined;
  const rows = Object.entries(last.byCategory).map(([category, { exactMatch, samples }]) => {
    const start = before && Object.hasOwn(before, category) ? before[category] : undefined;
    return html`<tr><th scope="row">${category}</th>${[start ? formatShare(start.exactMatch) : '–', formatShare(exactMatch), formatCount(samples)].map(numberCell)}
<td class="share"><svg width="100%" height="10" aria-hidden="true"><rect class="track" width="100%" height="10" rx="3"/><rect class="fill" width="${(exactMatch * 100).toFixed(2)}%" height="10" rx="3"/></svg></td></tr>`;
  });
  return scrolling(
    'Exact match by category',
    html`<table><thead><tr><th scope="col">Category</th>${['Start', 'End', 'Samples'].map(numberHead)}<th scope="col"><span class="hidden">Share</span></th></tr></thead><tbody>${rows}</tbody></table>`,
  );
}

/** Peak resident memory by process. */
export function memoryTable({ peakRssBytes }: Summary): Markup | undefined {
  const rows = Object.entries(peakRssBytes).slice(0, ROWS_SHOWN);
  if (rows.length === 0) return undefined;
  return scrolling(
    'Peak memory by process',
    html`<table><thead><tr><th scope="col">Process</th>${numberHead('Peak memory')}</tr></thead>
<tbody>${rows.map(([name, peak]) => html`<tr><th scope="row">${name}</th>${numberCell(formatBytes(peak))}</tr>`)}</tbody></table>`,
  );
}

/** Every setting of the job; nested ones are named by their path. */
export function settingsTable(job: unknown): Markup {
  const rows = flatten(job, '').slice(0, ROWS_SHOWN);
  return scrolling(
    'Settings of the job',
    html`<table class="settings"><tbody>${rows.map(([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`)}</tbody></table>`,
  );
}

function flatten(value: unknown, path: string): [string, string][] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object' || item === null)) return [[path, value.join(', ')]];
  if (typeof value !== 'object' || value === null) return [[path, String(value)]];
  return Object.entries(value).flatMap(([name, inner]) => flatten(inner, path === '' ? name : `${path}.${name}`));
}

function scrolling(label: string, table: Markup): Markup {
  return html`<div class="scroll" role="region" aria-label="${label}" tabindex="0">${table}</div>`;
}

function numberHead(name: string): Markup {
  return html`<th scope="col" class="number">${name}</th>`;
}

function numberCell(value: string): Markup {
  return html`<td class="number">${value}</td>`;
}
