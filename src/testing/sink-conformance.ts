// The suite that every sink passes: what `Sink` promises (record/sinks/sink.ts).
import type { RunEvent } from '../record/events.js';
import type { Sink } from '../record/sinks/sink.js';
import { check, equal, type RegisterTest } from './checks.js';
import { HOSTILE_TEXT, manyEvents, sampleEvents } from './sample-events.js';

/** A new sink, and how to see what it has brought out. */
export interface SinkUnderTest {
  readonly sink: Sink;
  /**
   * Every event so far, in order; called after `flush` or `close`. Fields may be missing where the
   * sink keeps figures only.
   */
  received(): Promise<readonly Partial<RunEvent>[]>;
}

type MakeSink = () => Promise<SinkUnderTest>;
type SinkTest = (make: MakeSink) => Promise<void>;

/** More than any queue should hold. */
const BURST = 50_000;

/**
 * Registers every test under `Sink <name>: …`; `make` gives a new sink each time, to which nothing
 * has gone.
 */
export function testSink(name: string, make: MakeSink, test: RegisterTest): void {
  for (const [title, run] of Object.entries(TESTS)) test(`Sink ${name}: ${title}`, () => run(make));
}

const TESTS: Readonly<Record<string, SinkTest>> = {
  'takes every kind of event, and brings out what was in it': async (make) => {
    const subject = await make();
    const events = sampleEvents();
    for (const event of events) emit(subject.sink, event);
    await subject.sink.close();
    const received = await subject.received();
    equal(received.length, events.length, 'the number of events');
    for (const event of events) checkHas(received, event);
  },

  'keeps the order': async (make) => {
    const subject = await make();
    const events = manyEvents(300);
    for (const event of events) emit(subject.sink, event);
    await subject.sink.close();
    equal(String(roundsOf(await subject.received())), String(roundsOf(events)), 'the rounds');
  },

  'flush brings out what came before it': async (make) => {
    const subject = await make();
    const [first, second] = manyEvents(2) as [RunEvent, RunEvent];
    emit(subject.sink, first);
    await subject.sink.flush?.();
    equal(String(roundsOf(await subject.received())), '1', 'the rounds after flush');
    emit(subject.sink, second);
    await subject.sink.flush?.();
    equal(String(roundsOf(await subject.received()).at(-1)), '2', 'the last round after a second flush');
    await subject.sink.close();
  },

  'an event stays one event, whatever is in its text': async (make) => {
    const subject = await make();
    const warning = sampleEvents().find(({ type }) => type === 'warning') as RunEvent;
    for (const event of [warning, warning]) emit(subject.sink, event);
    await subject.sink.close();
    const received = await subject.received();
    equal(received.length, 2, 'the number of events');
    for (const event of received) equal((event as { message?: string }).message, HOSTILE_TEXT, 'the message');
  },

  'what a burst drops is counted, and the end is not dropped': async (make) => {
    const subject = await make();
    for (const event of manyEvents(BURST)) emit(subject.sink, event);
    await subject.sink.close();
    const received = await subject.received();
    const rounds = roundsOf(received);
    const dropped = received.reduce((sum, event) => sum + (event.type === 'events-dropped' ? (event.count ?? 0) : 0), 0);
    equal(rounds.length + dropped, BURST, 'events that came out and events that were dropped');
    check(
      rounds.every((round, index) => index === 0 || round > (rounds[index - 1] as number)),
      'the order was changed',
    );
    equal(rounds.at(-1), BURST, 'the last round');
  },

  'minds no kind of event that it does not know': async (make) => {
    const subject = await make();
    const [known] = manyEvents(1) as [RunEvent];
    emit(subject.sink, { ...known, type: 'of-a-later-version', figure: 1 } as unknown as RunEvent);
    emit(subject.sink, { ...known, figure: 1 } as unknown as RunEvent);
    await subject.sink.close();
    equal(String(roundsOf(await subject.received())), '1', 'the rounds');
  },

  'close may be called twice; after it, events are dropped': async (make) => {
    const subject = await make();
    const [first, second] = manyEvents(2) as [RunEvent, RunEvent];
    emit(subject.sink, first);
    await Promise.all([subject.sink.close(), subject.sink.close()]);
    emit(subject.sink, second);
    await subject.sink.close();
    equal(String(roundsOf(await subject.received())), '1', 'the rounds');
  },

  'closes without an event': async (make) => {
    const subject = await make();
    await subject.sink.close();
    equal((await subject.received()).length, 0, 'the number of events');
  },

  'two sinks do not disturb each other': async (make) => {
    const [one, other] = [await make(), await make()];
    for (const event of manyEvents(10)) emit(event.atMs % 2 === 0 ? one.sink : other.sink, event);
    await one.sink.close();
    await other.sink.close();
    equal(String(roundsOf(await one.received())), '1,3,5,7,9', 'the rounds of the one');
    equal(String(roundsOf(await other.received())), '2,4,6,8,10', 'the rounds of the other');
  },
};

/** Whoever emits does not wait, and does not look at what is returned. */
function emit(sink: Sink, event: RunEvent): void {
  equal(sink.emit(event) as unknown, undefined, 'what emit returns');
}

function roundsOf(events: readonly Partial<RunEvent>[]): number[] {
  return events.flatMap((event) => (event.type === 'round-started' ? [event.round ?? 0] : []));
}

/** One of the events is it, as far as it goes. */
function checkHas(received: readonly Partial<RunEvent>[], { type, ...fields }: RunEvent): void {
  const found = received.find((event) => event.type === type);
  check(found !== undefined, `${type} did not come out`);
  const expected: Readonly<Record<string, unknown>> = { type, ...fields };
  for (const [field, value] of Object.entries(found)) equal(JSON.stringify(value), JSON.stringify(expected[field]), `${type}.${field}`);
}
