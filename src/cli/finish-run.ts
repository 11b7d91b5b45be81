// Ends a run on disk: writes summary.json and report.html from its record, and lists the summary.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { jsonText } from '../core/json-text.js';
import { writeText } from '../core/storage-text.js';
import type { Job } from '../job/job.js';
import { nodeFolder } from '../node/storage/node-folder.js';
import { SUMMARY_FILE } from '../record/record-files.js';
import { readRunRecord } from '../record/run-record.js';
import type { Summary } from '../record/summary-schema.js';
import { formatBytes, formatLoss, formatSeconds, formatShare } from './report/format.js';
import { renderReport } from './report/render.js';

/** Writes `summary.json` and `report.html` into the run folder; returns the summary. */
export async function finishRun(runPath: string, job: Job, command: string): Promise<Summary> {
  const run = nodeFolder(runPath);
  const { summary, series } = await readRunRecord(run);
  await writeText(run, SUMMARY_FILE, `${jsonText(summary, SUMMARY_FILE, 2)}\n`);
  await writeText(run, 'report.html', renderReport({ summary, series, job, command }));
  return summary;
}

/** The summary as lines of text: what a user wants to know first. */
export function summaryLines(summary: Summary, runPath: string): string[] {
  const { initial, initialHeld, final } = summary;
  const lines: string[] = [];
  if (initial && final) {
    const held = initialHeld ? ` (the sites began with ${formatLoss(initialHeld.loss)})` : '';
    lines.push(`loss         ${formatLoss(initial.loss)} → ${formatLoss(final.loss)}${held}`);
    if (initial.exactMatch !== null && final.exactMatch !== null)
      lines.push(`exact match  ${formatShare(initial.exactMatch)} → ${formatShare(final.exactMatch)}`);
  }
  const { total, fp32Total, ownTotal, ratio, ownRatio } = summary.bytes;
  const own = ownRatio === null || ownTotal === fp32Total ? '' : `, ${formatShare(ownRatio)} of the checkpoint's own dtypes`;
  if (ratio !== null)
    lines.push(`bytes        ${formatBytes(total)}, ${formatShare(ratio)} of the ${formatBytes(fp32Total)} in fp32${own}`);
  const processes = Object.keys(summary.peakRssBytes).length;
  lines.push(`memory       ${formatBytes(summary.peakRssBytesTotal)} at most, ${processes} process${processes === 1 ? '' : 'es'} together`);
  lines.push(`time         ${formatSeconds(summary.wallSeconds)}`);
  lines.push(`report       ${runPath}/report.html`);
  lines.push(`model        ${placeOfModel(runPath)}`);
  return lines;
}

/** The folder of the last model; in a swarm, where only the sites have it, the first one's if it is here. */
function placeOfModel(runPath: string): string {
  const own = join(runPath, 'model');
  if (existsSync(own)) return own;
  const sites = join(runPath, 'sites');
  for (const site of existsSync(sites) ? readdirSync(sites).sort() : []) {
    const found = readdirSync(join(sites, site)).find((name) => name.startsWith('model-'));
    if (found !== undefined) return `${join(sites, site, found)}, and alike at the other sites`;
  }
  return 'at the sites alone; each says where';
}
