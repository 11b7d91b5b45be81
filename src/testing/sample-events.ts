// An event of every kind, with every field that it can have, for suites of what takes events.
import type { EventBody, EventOf, RunEvent, Stamp } from '../record/events.js';

/**
 * Names and messages come from people and peers: ends of lines, of other alphabets, and half of a
 * surrogate pair.
 */
export const HOSTILE_TEXT = 'a "b"\n{"type":"warning"}\r\u2028\u0000 ä 😀 \ud800 __proto__';

type Samples = { readonly [Type in EventBody['type']]: Required<Omit<EventOf<Type>, 'type'>> };

const SAMPLES: Samples = {
  'run-started': {
    name: 'demo',
    codec: 'u4',
    streaming: 'file',
    sites: ['a', 'b'],
    rounds: 2,
    seed: 17,
    startedAt: '2026-01-02T03:04:05.000Z',
    selection: 'exactMatch',
    parameters: 12,
  },
  'round-started': { round: 1 },
  step: { site: 'a', round: 1, step: 1, loss: 0.1 + 0.2, learningRate: 1e-5, tokens: 64 },
  transfer: {
    site: 'a',
    round: 1,
    direction: 'up',
    bytes: 100,
    fp32Bytes: 800,
    ownBytes: 400,
    seconds: 0.25,
    retries: 1,
    resumedBytes: 10,
    peakRssBytes: 2 ** 33,
  },
  'site-result': {
    site: 'a',
    round: 1,
    trainLoss: 2.5,
    samples: 100,
    steps: 4,
    counts: { saturated: 3 },
    metrics: { perplexity: 12.2 },
    personal: { loss: 2, exactMatch: 0.5, samples: 4 },
  },
  arrival: { site: 'a', round: 3, asked: 1, weight: 0.5 },
  evaluation: {
    round: 1,
    loss: 2.25,
    exactMatch: 0.5,
    samples: 10,
    byCategory: { sums: { loss: 2, exactMatch: 0.25, samples: 4 } },
    held: true,
  },
  'personal-evaluation': { round: 1, loss: 1.5, exactMatch: 0.75, samples: 8 },
  'site-evaluation': { site: 'a', round: 2, trained: 'b', loss: 2.25, exactMatch: 0.5, samples: 10, reason: 'none' },
  statistics: {
    site: 'a',
    statistics: {
      leastCount: 10,
      samples: 30,
      characters: { count: 30, sum: 300, sumOfSquares: 4000, bins: [{ from: 8, to: 16, count: 30 }] },
      tokens: { count: 30, sum: 90, sumOfSquares: 300, bins: [{ from: 2, to: 4, count: 30 }] },
      categories: { bins: [{ name: 'sums', count: 20 }], other: 10 },
      vocabulary: [{ id: 5, count: 12 }],
    },
    reason: 'none',
  },
  memory: { process: 'server', rssBytes: 1000, peakRssBytes: 2000 },
  'round-finished': { round: 1, seconds: 2.5, reduceSeconds: 0.5, bytesDown: 200, bytesUp: 60 },
  warning: { message: HOSTILE_TEXT },
  'run-finished': { reason: 'all rounds are done' },
  'events-dropped': { count: 3 },
};

/** The stamp of the event at a place in a run. */
function stampOf(index: number): Stamp {
  return { run: '3f1c0b5e-run', time: new Date(1_800_000_000_000 + index).toISOString(), atMs: index };
}

/** One of each kind, frozen through and through. */
export function sampleEvents(): RunEvent[] {
  return Object.entries(SAMPLES).map(([type, fields], index) => frozen({ type, ...stampOf(index), ...fields } as RunEvent));
}

/** So many events, told apart by `round`: 1, 2, … */
export function manyEvents(count: number): RunEvent[] {
  return Array.from({ length: count }, (_, index) => frozen({ type: 'round-started', ...stampOf(index), round: index + 1 }));
}

function frozen<T>(value: T): T {
  if (value !== null && typeof value === 'object') for (const part of Object.values(value)) frozen(part);
  return Object.freeze(value);
}
