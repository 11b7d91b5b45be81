// The tables of a report about the data of the sites: sizes and lengths, histograms, categories.
import type { Summary } from '../../record/summary-schema.js';
import type { Lengths } from '../../trainer/statistics.js';
import { formatCount, formatShare } from './format.js';
import { html, type Markup } from './markup.js';

/** Rows, and columns, of a table at most; `summary.json` has all. */
const ROWS_SHOWN = 1000;
const COLUMNS_SHOWN = 50;
const NAMES_SHOWN = 100;

type Told = NonNullable<Summary['statistics']>[number];

/** The section about statistics of data; undefined where a run has none. */
export function statisticsSection({ statistics = [] }: Summary): Markup | undefined {
  if (statistics.length === 0) return undefined;
  const all = statistics.find(({ site }) => site === null)?.statistics;
  const sites = statistics.filter(({ site, statistics: told }) => site !== null && told !== null);
  const shown = [...sites.slice(0, ROWS_SHOWN), ...statistics.filter(({ site }) => site === null)];
  const without = statistics.filter(({ site, statistics: told }) => site !== null && told === null);
  return html`<h2>Data of the sites</h2>
${shown.length > 0 && sizes(shown)}
${all && histograms(all)}
${all?.categories && all.categories.bins.length > 0 && categories(all.categories.bins, sites, all.categories.other)}
${all?.vocabulary && vocabulary(all.vocabulary, all.samples)}
${without.length > 0 && html`<ul class="warnings">${without.slice(0, COLUMNS_SHOWN).map(({ site, reason }) => html`<li>no statistics of ${site}: ${reason ?? 'it told none'}</li>`)}${without.length > COLUMNS_SHOWN && html`<li>and of ${formatCount(without.length - COLUMNS_SHOWN)} more sites</li>`}</ul>`}`;
}

function sizes(shown: readonly Told[]): Markup {
  const rows = shown.map(({ site, statistics }) => {
    const { samples = 0, characters, tokens, leastCount = 0 } = statistics ?? {};
    const cells = [formatCount(samples), meanOf(characters), meanOf(tokens), formatCount(leastCount)];
    return html`<tr><th scope="row">${site ?? html`<b>all sites</b>`}</th>${cells.map(numberCell)}</tr>`;
  });
  const heads = ['Samples', 'Characters, mean ± deviation', 'Tokens, mean ± deviation', 'Least of a bin'];
  return scrolling(
    'Samples and lengths',
    html`<thead><tr><th scope="col">Site</th>${heads.map(numberHead)}</tr></thead><tbody>${rows}</tbody>`,
  );
}

/** Mean and standard deviation of lengths. */
function meanOf(lengths: Lengths | undefined): string {
  if (!lengths || lengths.count === 0) return '–';
  const mean = lengths.sum / lengths.count;
  const deviation = Math.sqrt(Math.max(0, lengths.sumOfSquares / lengths.count - mean * mean));
  return `${mean.toFixed(1)} ± ${deviation.toFixed(1)}`;
}

function histograms({ characters, tokens }: NonNullable<Told['statistics']>): Markup {
  const parts = [
    ['Characters', characters],
    ['Tokens', tokens],
  ] as const;
  return html`<div class="panels">${parts.map(
    ([name, lengths]) =>
      lengths &&
      html`<section class="panel"><h3>${name} of a sample</h3><p class="caption">Samples of all sites by length; small bins are merged.</p>${histogram(name, lengths)}</section>`,
  )}</div>`;
}

function histogram(name: string, { bins, count }: Lengths): Markup {
  const rows = bins.map(({ from, to, count: samples }) => {
    const range = to === from + 1 ? String(from) : `${formatCount(from)} to ${formatCount(to - 1)}`;
    return html`<tr><th scope="row">${range}</th>${numberCell(formatCount(samples))}${shareCell(samples / count)}</tr>`;
  });
  return scrolling(
    `${name} of a sample`,
    html`<thead><tr><th scope="col">${name}</th>${numberHead('Samples')}<th scope="col"><span class="hidden">Share</span></th></tr></thead><tbody>${rows}</tbody>`,
  );
}

function categories(bins: readonly { readonly name: string; readonly count: number }[], sites: readonly Told[], other: number): Markup {
  const columns = sites.slice(0, COLUMNS_SHOWN);
  const counts = columns.map(({ statistics }) => new Map(statistics?.categories?.bins.map(({ name, count }) => [name, count])));
  const rows = bins
    .slice(0, NAMES_SHOWN)
    .map(
      ({ name, count }) =>
        html`<tr><th scope="row">${name}</th>${counts.map((of) => numberCell(of.has(name) ? formatCount(of.get(name) as number) : '–'))}${numberCell(formatCount(count))}</tr>`,
    );
  const others = columns.map(({ statistics }) => numberCell(formatCount(statistics?.categories?.other ?? 0)));
  return html`<h3>Samples by category</h3>${scrolling(
    'Samples by category',
    html`<thead><tr><th scope="col">Category</th>${columns.map(({ site }) => numberHead(site ?? ''))}${numberHead('All')}</tr></thead><tbody>${rows}<tr><th scope="row">small ones together</th>${others}${numberCell(formatCount(other))}</tr></tbody>`,
  )}`;
}

function vocabulary(tokens: readonly { readonly id: number; readonly count: number }[], samples: number): Markup {
  const rows = tokens
    .slice(0, NAMES_SHOWN)
    .map(({ id, count }) => html`<tr><th scope="row">${id}</th>${numberCell(formatCount(count))}${shareCell(count / samples)}</tr>`);
  return html`<h3>Tokens by the samples that have them</h3>${scrolling(
    'Tokens',
    html`<thead><tr><th scope="col">Token id</th>${numberHead('Samples')}<th scope="col"><span class="hidden">Share</span></th></tr></thead><tbody>${rows}</tbody>`,
  )}
${tokens.length > NAMES_SHOWN && html`<p class="note">The first ${NAMES_SHOWN} of ${formatCount(tokens.length)} tokens; summary.json has all.</p>`}`;
}

function scrolling(label: string, table: Markup): Markup {
  return html`<div class="scroll" role="region" aria-label="${label}" tabindex="0"><table>${table}</table></div>`;
}

function shareCell(share: number): Markup {
  const width = (Math.min(1, share) * 100).toFixed(2);
  return html`<td class="share" title="${formatShare(share)}"><svg width="100%" height="10" aria-hidden="true"><rect class="track" width="100%" height="10" rx="3"/><rect class="fill" width="${width}%" height="10" rx="3"/></svg></td>`;
}

function numberHead(name: string): Markup {
  return html`<th scope="col" class="number">${name}</th>`;
}

function numberCell(value: string): Markup {
  return html`<td class="number">${value}</td>`;
}
