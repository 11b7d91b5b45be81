// The resident memory of this process, as the operating system counts it.
import { readFileSync } from 'node:fs';
import type { Memory } from '../../exchange/protocol.js';

/** The resident memory now, and its peak. Never throws: timers call it. */
export function processMemory(): Memory {
  const peak = peakRssBytes();
  return { rssBytes: rssBytes() ?? peak, peakRssBytes: peak };
}

/** Undefined where the system does not say, as in a process that has no file descriptor left. */
function rssBytes(): number | undefined {
  try {
    return process.memoryUsage.rss();
  } catch {
    return undefined;
  }
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
    // not Linux, or no descriptor left
  }
  return process.resourceUsage().maxRSS * 1024;
}
