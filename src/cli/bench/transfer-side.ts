// Settings and reports of the two processes of `fedstream bench transfer`.
import type { StreamingMode } from '../../transfer/streaming-mode.js';

/** Settings of a side, given as JSON in the last argument. */
export interface SideSettings {
  readonly mode: StreamingMode;
  readonly codec: string;
  /** The sender's model folder, or the folder that the receiver writes into. */
  readonly folder: string;
  /** The URL that the sender listens on, or the one that the receiver connects to. */
  readonly url: string;
  /** True if the receiver waits until its file is on the disk. */
  readonly sync: boolean;
}

/** A report, one line of JSON on standard output. */
export type SideReport =
  | { readonly listening: string }
  | { readonly sent: { readonly wireBytes: number; readonly digest: string; readonly retries: number }; readonly peakRssBytes: number }
  | { readonly received: { readonly seconds: number; readonly digest: string }; readonly peakRssBytes: number };

/** The settings of this process. */
export function sideSettings(): SideSettings {
  return JSON.parse(process.argv.at(-1) as string) as SideSettings;
}

/** Prints a report. */
export function report(line: SideReport): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Name of the request with which the receiver asks for the model. */
export const FETCH = 'fetch';
/** The receiver's file with the model as it was sent. */
export const RECEIVED_SPOOL = 'received.spool';
/** The receiver's file with the decoded model. */
export const RECEIVED_MODEL = 'received.safetensors';
