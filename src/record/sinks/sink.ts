// The contract of a sink, a destination for the events of a run.
import type { Table } from '../../core/row.js';
import type { RunEvent } from '../events.js';

/**
 * Takes the events of a run, in order. `testSink` of `fedstream/testing` checks the promises made
 * here. A sink that throws or rejects is named in the log, closed, and gets no further event; it
 * never ends a run.
 */
export interface Sink {
  /**
   * Takes an event; returns at once, without waiting for a disk or a network. Events that it keeps
   * for later must be bounded in number. It is also called with kinds of later versions, which it
   * may ignore. It must not change the event, since other sinks get the same object. Events after
   * `close` are dropped.
   */
  emit(event: RunEvent): void;
  /** Resolves once every event so far has left this process. */
  flush?(): Promise<void>;
  /** Resolves once everything is written and released; a second call does nothing. */
  close(): Promise<void>;
}

/** Sinks by the names that log messages use for them. */
export type Sinks = Readonly<Record<string, Sink>>;

/** Opens a sink that was chosen; rejects with one clear error where it cannot be used. */
export type OpenSink = () => Promise<Sink>;

/**
 * Sinks of the kit. The `make` of a row only checks its options, so that a wrong choice is refused
 * before a run begins.
 */
export type SinkTable = Table<OpenSink>;
