// The digest of a job, by which a site's owner allows exactly this job (`limits.jobs`).
import { sha256Hex } from '../core/hex.js';
import type { Job } from '../job/job.js';

/** SHA-256 over the job's JSON with sorted keys, in hexadecimal. */
export function jobDigest(job: Job): Promise<string> {
  return sha256Hex(JSON.stringify(sorted(job)));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}
