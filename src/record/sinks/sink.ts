// The contract of a sink: a place that the events of a run go to, the files of its folder among
// them.
import type { Table } from '../../core/row.js';
import type { RunEvent } from '../events.js';

/**
 * Takes the events of a run, in order. `testSink` of `fedstream/testing` checks what is promised
 * here. A sink that throws or rejects is named in the log, closed, and gets no further event; it
 * never ends a run.
 */
export interface Sink {
  /**
   * Takes an event; returns at once, and does not wait for a disk or a network. What it keeps for
   * later is bounded. Called with kinds of later versions too, which it may ignore. Must not change
   * the event; other sinks get the same object. After `close`, events are dropped.
   */
  emit(event: RunEvent): void;
  /** Resolves once every event so far has left this process. */
  flush?(): Promise<void>;
  /** Resolves once everything is written and released; a second call does nothing. */
  close(): Promise<void>;
}

/** Sinks by the names that messages call them. */
export type Sinks = Readonly<Record<string, Sink>>;

/** Opens a sink that was chosen; rejects with one clear error where it cannot be used. */
export type OpenSink = () => Promise<Sink>;

/**
 * Sinks of the kit: rows whose `make` checks nothing but its options, so that a choice can be
 * refused before a run begins.
 */
export type SinkTable = Table<OpenSink>;
