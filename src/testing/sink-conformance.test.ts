// The suite of sinks refuses sinks that break a promise.
import { expect, test } from 'vitest';
import type { RunEvent } from '../record/events.js';
import type { Sink } from '../record/sinks/sink.js';
import { testSink } from './sink-conformance.js';

/** A sink into memory that keeps every promise. */
class Good implements Sink {
  events: RunEvent[] = [];
  closed = false;

  emit: Sink['emit'] = (event) => {
    if (!this.closed) this.take(event);
  };

  take(event: RunEvent): void {
    this.events.push(event);
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

const BROKEN: Readonly<Record<string, [sink: new () => Good, fails: string]>> = {
  'drops without a word': [
    class extends Good {
      override take(event: RunEvent): void {
        if (this.events.length < 1000) this.events.push(event);
      }
    },
    'what a burst drops is counted, and the end is not dropped',
  ],
  'turns the order round': [
    class extends Good {
      override take(event: RunEvent): void {
        this.events.unshift(event);
      }
    },
    'keeps the order',
  ],
  'changes the event': [
    class extends Good {
      override take(event: RunEvent): void {
        this.events.push(Object.assign(event, { run: 'mine' }));
      }
    },
    'takes every kind of event, and brings out what was in it',
  ],
  'loses a field': [
    class extends Good {
      override take({ type, ...event }: RunEvent): void {
        this.events.push({ ...event, type, atMs: 0 } as RunEvent);
      }
    },
    'takes every kind of event, and brings out what was in it',
  ],
  'lets whoever emits wait': [
    class extends Good {
      override emit = (async (event: RunEvent) => this.take(event)) as Sink['emit'];
    },
    'keeps the order',
  ],
  'throws after close': [
    class extends Good {
      override emit: Sink['emit'] = (event) => {
        if (this.closed) throw new Error('closed');
        this.events.push(event);
      };
    },
    'close may be called twice; after it, events are dropped',
  ],
  'cannot be closed twice': [
    class extends Good {
      override async close(): Promise<void> {
        if (this.closed) throw new Error('closed');
        this.closed = true;
      }
    },
    'close may be called twice; after it, events are dropped',
  ],
  'knows the kinds of today only': [
    class extends Good {
      override take(event: RunEvent): void {
        if (event.type !== 'round-started' && event.type !== 'warning' && !('reason' in event)) throw new Error('unknown');
        this.events.push(event);
      }
    },
    'minds no kind of event that it does not know',
  ],
};

/** Titles of the tests that the sink fails. */
async function failures(Kind: new () => Good): Promise<string[]> {
  const tests: [title: string, run: () => Promise<void>][] = [];
  const make = async () => {
    const sink = new Kind();
    return { sink, received: async () => sink.events };
  };
  testSink('x', make, (name, run) => tests.push([name.replace('Sink x: ', ''), run]));
  const failed: string[] = [];
  for (const [title, run] of tests) await run().catch(() => failed.push(title));
  return failed;
}

test('a sink that keeps its promises passes', async () => {
  expect(await failures(Good)).toEqual([]);
});

test.each(Object.entries(BROKEN))('a sink that %s does not', async (_, [Kind, fails]) => {
  expect(await failures(Kind)).toContain(fails);
});
