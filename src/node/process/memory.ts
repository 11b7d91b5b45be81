// Resident memory of this process, as the operating system accounts it.
import { readFileSync } from 'node:fs';
import type { Memory } from '../../exchange/protocol.js';

export function processMemory(): Memory {
  return { rssBytes: process.memoryUsage.rss(), peakRssBytes: peakRssBytes() };
}

/**
 * The most that was ever resident. Linux's `VmHWM` is that of this program alone; `maxRSS` of getrusage, which other systems have, begins with
 * what the process was before it became this program.
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
