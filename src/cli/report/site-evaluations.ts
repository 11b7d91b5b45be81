// The tables of what models achieve on the data of each site: a row for each site where there is one
// model, a matrix of models and sites where there are several.
import type { SiteEvaluationSummary, Summary } from '../../record/summary-schema.js';
import { formatCount, formatLoss, formatShare } from './format.js';
import { html, type Markup } from './markup.js';

/** Rows, and columns of a matrix, at most; `summary.json` has all. */
const ROWS_SHOWN = 1000;
const COLUMNS_SHOWN = 50;

/** A model of a matrix, and its figures by site. */
interface ModelRow {
  readonly label: string;
  readonly bySite: ReadonlyMap<string, SiteEvaluationSummary>;
}

/** The section about figures by site; undefined where a run has none. */
export function siteEvaluations(summary: Summary): Markup | undefined {
  const { siteEvaluations: found = [] } = summary;
  if (found.length === 0) return undefined;
  const models = modelsOf(found, summary);
  const sites = [...new Set(found.map(({ site }) => site))];
  const [only] = models;
  return html`<h2>Evaluation by site</h2>
${models.length === 1 && only ? oneModel(only, sites) : matrix(models, sites)}
${whyMissing(found)}`;
}

function modelsOf(found: readonly SiteEvaluationSummary[], { best }: Summary): ModelRow[] {
  const rows = new Map<string, { label: string; bySite: Map<string, SiteEvaluationSummary> }>();
  for (const one of found) {
    const key = JSON.stringify([one.round, one.trained]);
    const row = rows.get(key) ?? { label: labelOf(one, best?.round), bySite: new Map() };
    rows.set(key, row);
    row.bySite.set(one.site, one);
  }
  return [...rows.values()];
}

function labelOf({ round, trained }: SiteEvaluationSummary, best: number | undefined): string {
  if (trained !== null) return `${trained} alone, round ${round}`;
  if (round === 0) return 'the initial model';
  return `global, round ${round}${round === best ? ', the best' : ''}`;
}

function oneModel({ label, bySite }: ModelRow, sites: readonly string[]): Markup {
  const rows = sites.slice(0, ROWS_SHOWN).map((site) => {
    const { loss = null, exactMatch = null, samples = null } = bySite.get(site) ?? {};
    return html`<tr><th scope="row">${site}</th>${[lossText(loss), exactMatch === null ? '–' : formatShare(exactMatch), samples === null ? '–' : formatCount(samples)].map(numberCell)}</tr>`;
  });
  const found = [...bySite.values()];
  const samples = found.reduce((sum, one) => sum + (one.samples ?? 0), 0);
  const mean = html`<tr><th scope="row"><b>mean, by samples</b></th>${[lossText(meanOf(found)), '', formatCount(samples)].map(numberCell)}</tr>`;
  return html`<p class="caption">Of ${label}, on the held-out data of each site.</p>
<div class="scroll" role="region" aria-label="Evaluation by site" tabindex="0"><table>
<thead><tr><th scope="col">Site</th>${['Loss', 'Exact match', 'Samples'].map((name) => html`<th scope="col" class="number">${name}</th>`)}</tr></thead>
<tbody>${rows}${mean}</tbody></table></div>
${sites.length > ROWS_SHOWN && html`<p class="note">The first ${ROWS_SHOWN} of ${formatCount(sites.length)} sites; summary.json has all.</p>`}`;
}

function matrix(models: readonly ModelRow[], sites: readonly string[]): Markup {
  const shown = sites.slice(0, COLUMNS_SHOWN);
  const least = new Map(
    shown.map((site) => [site, Math.min(...models.map(({ bySite }) => bySite.get(site)?.loss ?? Number.POSITIVE_INFINITY))]),
  );
  const cell = (one: SiteEvaluationSummary | undefined, site: string): Markup => {
    if (!one || one.loss === null) return html`<td class="number">–</td>`;
    const match = one.exactMatch !== null && html`<br><span class="note">${formatShare(one.exactMatch)}</span>`;
    const text = formatLoss(one.loss);
    return html`<td class="number">${one.loss === least.get(site) ? html`<b>${text}</b>` : text}${match}</td>`;
  };
  return html`<p class="caption">Loss of each model (rows) on the held-out data of each site (columns), and below it the exact match where it is known; the lowest loss of a column is bold.</p>
<div class="scroll" role="region" aria-label="Models by site" tabindex="0"><table>
<thead><tr><th scope="col">Model</th>${shown.map((site) => html`<th scope="col" class="number">${site}</th>`)}<th scope="col" class="number">Mean</th></tr></thead>
<tbody>${models.slice(0, ROWS_SHOWN).map(({ label, bySite }) => html`<tr><th scope="row">${label}</th>${shown.map((site) => cell(bySite.get(site), site))}${numberCell(lossText(meanOf([...bySite.values()])))}</tr>`)}</tbody></table></div>
<p class="note">The mean is over the sites that have figures, weighted by their samples.${sites.length > shown.length && ` The first ${shown.length} of ${formatCount(sites.length)} sites are shown; summary.json has all.`}</p>`;
}

function meanOf(all: readonly SiteEvaluationSummary[]): number | null {
  let total = 0;
  let sum = 0;
  for (const { loss, samples } of all) {
    if (loss === null || samples === null) continue;
    total += samples;
    sum += loss * samples;
  }
  return total === 0 ? null : sum / total;
}

/** The sites without figures, each with its reason. */
function whyMissing(found: readonly SiteEvaluationSummary[]): Markup | undefined {
  const reasons = new Map<string, string>();
  for (const { site, reason } of found) if (reason !== null && !reasons.has(site)) reasons.set(site, reason);
  if (reasons.size === 0) return undefined;
  const shown = [...reasons].slice(0, COLUMNS_SHOWN).map(([site, reason]) => html`<li>no figures of ${site}: ${reason}</li>`);
  return html`<ul class="warnings">${shown}${reasons.size > shown.length && html`<li>and of ${formatCount(reasons.size - shown.length)} more sites</li>`}</ul>`;
}

function lossText(loss: number | null): string {
  return loss === null ? '–' : formatLoss(loss);
}

function numberCell(value: string): Markup {
  return html`<td class="number">${value}</td>`;
}
