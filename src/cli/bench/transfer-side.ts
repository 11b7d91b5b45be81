// One side of a measured transfer, in a process of its own: what it is told, and what it says.
import type { StreamingMode } from '../../transfer/streaming-mode.js';

/** Given as JSON in the last argument. */
export interface SideSettings {
  readonly mode: StreamingMode;
  readonly codec: string;
  /** The sender's model folder, or the folder for what the receiver writes. */
  readonly folder: string;
  /** Where the sender listens; of the receiver: where it connects to. */
  readonly url: string;
  /** Whether the receiver waits until the disk has what it wrote. */
  readonly sync: boolean;
}

/** A line of JSON on standard output. */
export type SideReport =
  | { readonly listening: string }
  | { readonly sent: { readonly wireBytes: number; readonly digest: string; readonly retries: number }; readonly peakRssBytes: number }
  | { readonly received: { readonly seconds: number; readonly digest: string }; readonly peakRssBytes: number };

export function sideSettings(): SideSettings {
  return JSON.parse(process.argv.at(-1) as string) as SideSettings;
}

export function report(line: SideReport): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** What the receiver asks the sender for. */
export const FETCH = 'fetch';
/** Names of the files that a receiver leaves. */
export const RECEIVED_SPOOL = 'received.spool';
export const RECEIVED_MODEL = 'received.safetensors';
