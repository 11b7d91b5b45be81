// Resident memory of this process, as the operating system accounts it.
import type { Memory } from '../runtime/protocol.js';

/** `maxRSS` of getrusage is in KiB. */
export function processMemory(): Memory {
  return { rssBytes: process.memoryUsage.rss(), peakRssBytes: process.resourceUsage().maxRSS * 1024 };
}
