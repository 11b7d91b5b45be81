// The resident memory of this process, as the operating system counts it.
import { readFileSync } from 'node:fs';
import type { Memory } from '../../exchange/protocol.js';

/** The resident memory now, and its peak. */
export function processMemory(): Memory {
  return { rssBytes: process.memoryUsage.rss(), peakRssBytes: peakRssBytes() };
}

/**
 * The peak of resident memory, in bytes. Linux's `VmHWM` counts this program alone; `maxRSS` of
 * getrusage, for other systems, also counts the process before it became this program.
 */
export function peakRssBytes(): number {
  try {
    const [, kib] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? [];
    if (kib) return Number(kib) * 1024;
  } catch {
    // not Linux
  }
  return process.resourceUsage().maxRSS * 1024;
}
