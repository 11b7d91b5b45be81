// The digest of a job, by which a site's owner allows exactly this job (`limits.jobs`).
import type { Job } from '../job/job.js';

/** SHA-256 over the job's JSON with sorted keys, in hexadecimal. */
export async function jobDigest(job: Job): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(sorted(job)));
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}
