// The option `--events`: every event of the run as a line of JSON, for programs that watch it.
import { Option } from 'commander';
import { FedStreamError } from '../core/errors.js';
import { openSink } from '../node/sinks/node-sinks.js';
import type { Sinks } from '../record/sinks/sink.js';

/** Options that decide where events go. */
export interface EventOptions {
  readonly events?: string;
  readonly json?: boolean;
}

/** `--events`, for every command that makes a run. */
export function eventsOption(): Option {
  return new Option(
    '--events <file>',
    'append every event of the run to this file, a JSON line each (docs/events.md); - is standard output',
  );
}

/** The sinks that were asked for, by the names that messages call them. */
export async function openEvents({ events, json }: EventOptions): Promise<Sinks> {
  if (events === undefined) return {};
  if (events === '-' && json)
    throw new FedStreamError('bad-argument', '--events - and --json both write to standard output; give --events a file');
  return { '--events': await openSink({ type: 'jsonl', path: events }) };
}
