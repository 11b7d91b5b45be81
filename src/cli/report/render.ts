// Renders the report of a run: one HTML page that holds everything it shows and loads nothing.
import { createHash } from 'node:crypto';
import type { RunSeries } from '../../record/run-series.js';
import type { Summary } from '../../record/summary-schema.js';
import { type ReportAssets, reportAssets } from './assets.js';
import { byteBars } from './byte-bars.js';
import { formatCount } from './format.js';
import { keyFigures } from './key-figures.js';
import { html, jsonMarkup, Markup } from './markup.js';
import type { Plot } from './page/page-data.js';
import { LINES_SHOWN, pagePlots } from './plots.js';
import { siteEvaluations } from './site-evaluations.js';
import { statisticsSection } from './statistics.js';
import { REPORT_STYLE } from './style.js';
import { categoryTable, memoryTable, roundsTable, settingsTable } from './tables.js';

/** The record of a run that a report shows. */
export interface ReportInput {
  readonly summary: Summary;
  readonly series: RunSeries;
  /** The job as it was validated; every setting is shown. */
  readonly job?: unknown;
  /** The command that makes this run again. */
  readonly command?: string;
  /** FedStream's version. */
  readonly version?: string;
}

/**
 * The text of `report.html`. Names and messages of the run may be hostile, so all of them are
 * escaped.
 */
export function renderReport(input: ReportInput, assets: ReportAssets = reportAssets()): string {
  const { summary, series, job, command, version } = input;
  const data = pagePlots(summary, series);
  const scripts = [scriptText(assets.plotScript), scriptText(assets.pageScript)];
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src ${scripts.map(hashSource).join(' ')}; base-uri 'none'; form-action 'none'`;
  const category = categoryPanel(summary);
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${summary.run || 'run'} · FedStream report</title>
<style>${new Markup(assets.plotStyle)}${new Markup(REPORT_STYLE)}</style>
</head>
<body>
<main>
${keyFigures(summary)}
${warnings(summary)}
<h2>Training</h2>
<div class="panels">
${plotPanel(data.plots[0], 'Training loss by step', stepCaption(series, data.plots[0]), 'No step was recorded.', true)}
${plotPanel(data.plots[1], 'Training loss by round', `Mean over each site's steps of the round${linesNote(summary.sites.length)}.`, 'No site has finished a round.')}
${plotPanel(data.plots[2], 'Evaluation loss by round', 'Global model on held-out data; round 0 is the initial model.', 'Nothing was evaluated.')}
${plotPanel(data.plots[3], 'Exact match by round', 'Share of held-out samples answered right to the letter.', 'Nothing was evaluated.')}
${category}
${panel('Bytes by direction', 'Everything on the wire, against the same tensors in float32.', byteBars(summary) ?? html`<p class="note">Nothing was sent.</p>`, category !== undefined)}
</div>
${siteEvaluations(summary)}
${statisticsSection(summary)}
<h2>Memory</h2>
<div class="panels">
${plotPanel(data.plots[4], 'Resident memory over time', 'Each process, as the operating system accounts it.', 'Not measured.')}
${panel('Peak memory', 'Highest resident memory of each process.', memoryTable(summary) ?? html`<p class="note">Not measured.</p>`)}
</div>
<h2>Rounds</h2>
${summary.rounds.length > 0 || summary.initial ? roundsTable(summary) : html`<p class="note">No round has begun.</p>`}
${job !== undefined && html`<h2>Settings</h2>${settingsTable(job)}`}
${command !== undefined && html`<h2>Make it again</h2><pre>${command}</pre><p class="note">The same seed gives the same model, to the bit.</p>`}
<footer>Written by FedStream${version && ` ${version}`}. This page holds all it shows and loads nothing.</footer>
</main>
<script type="application/json" id="page-data">${jsonMarkup(data)}</script>
<script>${new Markup(scripts[0] as string)}</script>
<script type="module">${new Markup(scripts[1] as string)}</script>
</body>
</html>
`;
  return page.text;
}

function plotPanel(plot: Plot | undefined, title: string, caption: string, empty: string, wide = false): Markup {
  if (!plot || plot.series.length === 0) return panel(title, caption, html`<p class="note">${empty}</p>`, wide);
  return panel(
    title,
    caption,
    html`<div class="plot" id="${plot.id}"><noscript>The plot needs JavaScript; the tables below have its figures.</noscript></div>`,
    wide,
  );
}

function panel(title: string, caption: string, content: Markup, wide = false): Markup {
  return html`<section class="panel${wide ? ' wide' : ''}"><h3>${title}</h3><p class="caption">${caption}</p>${content}</section>`;
}

function categoryPanel(summary: Summary): Markup | undefined {
  const table = categoryTable(summary);
  return table && panel('Exact match by category', 'The initial model, and the last one evaluated.', table);
}

function stepCaption({ loss }: RunSeries, plot: Plot | undefined): string {
  const sites = Object.values(loss);
  const merged = Math.max(1, ...sites.map(({ pointsEach }) => pointsEach));
  const each = merged === 1 ? 'Every optimizer step' : `Means of up to ${formatCount(merged)} optimizer steps`;
  return `${each} of each site${linesNote(sites.length)}${plot && plot.marks.length > 0 ? '; thin lines end a round' : ''}.`;
}

function linesNote(sites: number): string {
  return sites > LINES_SHOWN ? ` (the first ${LINES_SHOWN} of ${formatCount(sites)} sites)` : '';
}

function warnings({ warnings: found, warningCount }: Summary): Markup | undefined {
  if (warningCount === 0) return undefined;
  const more = warningCount - found.length;
  return html`<h2>Warnings</h2><ul class="warnings">${found.map((message) => html`<li>${message}</li>`)}${more > 0 && html`<li>and ${formatCount(more)} more, in the log</li>`}</ul>`;
}

/** A script that cannot end its element early; the browser hashes exactly this text. */
function scriptText(script: string): string {
  return script.replace(/<\/(script)/gi, '<\\/$1').replace(/<!--/g, '<\\!--');
}

function hashSource(script: string): string {
  return `'sha256-${createHash('sha256').update(script).digest('base64')}'`;
}
