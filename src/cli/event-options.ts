// The options `--events` and `--sink`: where a run's events go besides its folder.
import { Option } from 'commander';
import { FedStreamError } from '../core/errors.js';
import { nodeSinks, openSink } from '../node/sinks/node-sinks.js';
import type { Sink, Sinks, SinkTable } from '../record/sinks/sink.js';

/** Values of the options that decide where events go. */
export interface EventOptions {
  readonly events?: string;
  readonly sink?: readonly string[];
  readonly json?: boolean;
}

/** `--events`, for every command that makes a run. */
export function eventsOption(): Option {
  return new Option(
    '--events <file>',
    'append every event of the run to this file, a JSON line each (docs/events.md); - is standard output',
  );
}

/** `--sink`, given once for each sink. */
export function sinkOption(): Option {
  const option = new Option(
    '--sink <choice>',
    'send events there too: a sink of --kit by name, or as JSON: {"type": "jsonl", "path": "…"}',
  );
  return option.argParser((value: string, before: readonly string[] = []) => [...before, value]);
}

/**
 * Opens the sinks of the options, keyed by the names that messages call them; `more` is the sink
 * table of a kit. Throws `bad-argument` for a choice that cannot be read.
 */
export async function openEvents(options: EventOptions, more: SinkTable = []): Promise<Sinks> {
  const sinks: Record<string, Sink> = { ...(await openEventsFile(options)) };
  for (const [index, text] of (options.sink ?? []).entries())
    sinks[`--sink ${index + 1}`] = await openSink(choiceOf(text), [...nodeSinks, ...more]);
  return sinks;
}

function choiceOf(text: string): unknown {
  if (!text.trimStart().startsWith('{')) return text;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FedStreamError('bad-argument', `--sink ${text}: ${(cause as Error).message}`, { cause });
  }
}

async function openEventsFile({ events, json }: EventOptions): Promise<Sinks> {
  if (events === undefined) return {};
  if (events === '-' && json)
    throw new FedStreamError('bad-argument', '--events - and --json both write to standard output; give --events a file');
  return { '--events': await openSink({ type: 'jsonl', path: events }) };
}
