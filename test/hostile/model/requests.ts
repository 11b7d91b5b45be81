// Steps that ask: every request with good and with wild bodies, and frames that are no requests.
import { z } from 'zod';
import { failSchema, hasBaseSchema, progressSchema } from '../../../src/exchange/protocol.js';
import { taskOfResult } from '../../../src/exchange/result-figures.js';
import { resultSchema } from '../../../src/exchange/task.js';
import { pack, unpack } from '../../../src/frame/pack.js';
import { chance, noise, pick } from './chance.js';
import { someObject, someTaskId } from './choose-task.js';
import type { Insider } from './insider.js';
import { mutated, wildBytes } from './nasty-values.js';
import type { Scene, Step } from './step.js';

interface Request {
  readonly name: string;
  /** Undefined where the body is not looked at, or the schema is not known here. */
  readonly schema?: z.ZodType<unknown>;
  /** Codes of the reply to a good body. */
  readonly may: readonly string[];
  body(scene: Scene, insider: Insider): unknown;
}

/** A server that has much to do for a peer may refuse what is more than a handful. */
const HANDFUL = 16;
/** … and what is so large. */
const MUCH_BYTES = 100_000;

export function figuresFor(scene: Scene, task: string): Record<string, unknown> {
  const { random } = scene;
  if (chance(random, 0.03)) return extremeFigures(random, task);
  return {
    task,
    samples: 1 + random.integer(1000),
    steps: random.integer(50),
    trainLoss: random.uniform(),
    counts: {},
    ...(chance(random, 0.5) && { evaluation: { loss: 10 * random.uniform(), samples: 1 + random.integer(100) } }),
    ...(chance(random, 0.1) && { metrics: { accuracy: random.uniform() }, peakRssBytes: random.integer(1e9) }),
  };
}

/** Numbers as large as numbers are; each may be bounded, and none may do harm. */
function extremeFigures(random: Scene['random'], task: string): Record<string, unknown> {
  const most = pick(random, [Number.MAX_SAFE_INTEGER, 1e9, 1]);
  const large = pick(random, [1e308, -1e308, 1e30]);
  return {
    task,
    samples: most,
    steps: most,
    trainLoss: large,
    counts: { saturated: large },
    evaluation: { loss: Math.abs(large), exactMatch: 1, samples: most },
    metrics: { accuracy: large, __proto__x: large },
    peakRssBytes: most,
  };
}

function progressBody(scene: Scene, insider: Insider): unknown {
  const { random } = scene;
  const steps = Array.from({ length: chance(random, 0.05) ? 256 : random.integer(4) }, (_, i) => ({
    step: i + 1,
    loss: random.uniform(),
    learningRate: 0.1,
    tokens: 8,
  }));
  return { task: someTaskId(scene, insider), steps, memory: { rssBytes: 1, peakRssBytes: 2 }, alive: chance(random, 0.5) };
}

/** Bodies of requests for objects, as docs/spec/run.md has them. */
const olderSchema = z.strictObject({ name: z.string().min(1).max(256) });
const retrieveSchema = z.strictObject({ kind: z.enum(['file', 'model']), name: z.string().min(1).max(1024), ask: z.int().min(0) });

const FILES = ['config.json', 'manifest.json', 'job.json', '../run-name', '__proto__'];

export const REQUESTS: readonly Request[] = [
  { name: 'join', may: ['ok'], body: () => ({}) },
  { name: 'next', may: ['ok'], body: () => ({}) },
  { name: 'progress', schema: progressSchema, may: ['ok'], body: progressBody },
  {
    name: 'evaluated',
    schema: resultSchema,
    may: ['ok', 'refused'],
    body: (scene, insider) => figuresFor(scene, someTaskId(scene, insider)),
  },
  {
    name: 'fail',
    schema: failSchema,
    may: ['ok'],
    body: (scene, insider) => ({ task: someTaskId(scene, insider), code: 'trainer', message: 'x'.repeat(scene.random.integer(200)) }),
  },
  { name: 'has-base', schema: hasBaseSchema, may: ['ok'], body: (scene, insider) => ({ task: someTaskId(scene, insider) }) },
  {
    name: 'retrieve',
    schema: retrieveSchema,
    may: ['ok', 'not-found'],
    body: (scene, insider) =>
      chance(scene.random, 0.3)
        ? { kind: 'file', name: pick(scene.random, FILES), ask: scene.random.integer(9) }
        : { kind: 'model', name: someObject(scene, insider), ask: scene.random.integer(9) },
  },
  { name: 'file', schema: olderSchema, may: ['ok', 'not-found'], body: ({ random }) => ({ name: pick(random, FILES) }) },
  { name: 'object', schema: olderSchema, may: ['ok', 'not-found'], body: (scene, insider) => ({ name: someObject(scene, insider) }) },
  { name: 'unknown', may: ['unsupported'], body: () => ({}) },
  { name: '__proto__', may: ['unsupported'], body: () => ({}) },
  { name: 'constructor', may: ['unsupported'], body: () => ({}) },
];

/** Sends a request with these bytes as its body, and notes what the reply may be. */
export function ask(scene: Scene, insider: Insider, { name, schema, may }: Request, body: Uint8Array, isGood: boolean): void {
  const { watch } = scene.world;
  const parsed = schema && parse(schema, body);
  let codes = schema ? (parsed === undefined ? ['bad-frame'] : may) : isGood ? may : [...may, 'bad-frame'];
  if (name === 'fail' && parsed !== undefined) watch.said(insider.site, (parsed as { task: unknown }).task);
  if (name === 'evaluated') {
    const value = parse(z.unknown(), body);
    watch.said(insider.site, taskOfResult(value));
    // Figures are looked at if their task is open; wrong ones settle it.
    if (value !== undefined && parsed === undefined) codes = ['ok', 'refused', 'limit'];
  }
  if (name === 'progress' && !scene.world.reports(insider.site).take()) {
    insider.mayEnd.add('too many reports');
    insider.slowed = true;
  }
  const isMuch = insider.open > HANDFUL || body.length > MUCH_BYTES;
  insider.request(name, body, isMuch ? [...codes, 'limit'] : codes);
}

function parse(schema: z.ZodType<unknown>, body: Uint8Array): unknown {
  try {
    return unpack(body, schema, 'a body');
  } catch {
    return undefined;
  }
}

function askGood(scene: Scene, insider: Insider, request = pick(scene.random, REQUESTS)): void {
  ask(scene, insider, request, pack(request.body(scene, insider)), true);
}

/** The step of requests with much in them. */
export const LARGE_REQUESTS = 'large requests';

export const requestSteps: readonly Step[] = [
  { name: 'a good request', weight: 14, run: (scene, insider) => askGood(scene, insider) },
  {
    name: 'a wild request',
    weight: 14,
    run: (scene, insider) => {
      const request = pick(scene.random, REQUESTS);
      ask(scene, insider, request, wildBytes(request.body(scene, insider), scene.random), false);
    },
  },
  {
    name: 'a request with a wild header',
    weight: 0.5,
    run: ({ random }, insider) => {
      const header = pack(mutated({ name: 'join' }, random));
      insider.mayEnd.add('a wild header of a request');
      insider.open++;
      insider.asked.set(insider.nextId, [{ name: 'wild', may: new Set(['ok', 'unsupported', 'bad-frame']) }]);
      insider.send('request', insider.nextId++, header, pack({}));
    },
  },
  {
    name: 'many requests at once',
    weight: 0.1,
    run: (scene, insider) => {
      const request = pick(scene.random, REQUESTS);
      for (let i = 0; i < 300; i++) askGood(scene, insider, request);
    },
  },
  {
    name: LARGE_REQUESTS,
    weight: 0.02,
    run: (scene, insider) => {
      const evaluated = REQUESTS.find(({ name }) => name === 'evaluated') as Request;
      const text = 'x'.repeat(32 * 1024);
      const files = Object.fromEntries(Array.from({ length: 90 }, (_, i) => [`file-${i}`, text]));
      const body = pack({ ...figuresFor(scene, someTaskId(scene, insider)), files });
      for (let i = 0; i < 5; i++) ask(scene, insider, evaluated, body, true);
    },
  },
  {
    name: 'much asked and nothing read',
    weight: 0.008,
    run: (_, insider) => {
      insider.reading = false;
      const body = pack({});
      for (let i = 0; i < 14_000; i++) insider.request('join', body, ['ok', 'limit']);
    },
  },
  {
    name: 'one id twice',
    weight: 0.5,
    run: (scene, insider) => {
      const before = insider.nextId;
      askGood(scene, insider);
      insider.nextId = before;
      insider.doubled.add(before);
      askGood(scene, insider);
    },
  },
  {
    name: 'a reply that nobody asked for',
    weight: 1,
    run: ({ random }, insider) =>
      insider.send('reply', random.integer(50), chance(random, 0.5) ? { code: 'refused' } : noise(random, 40), noise(random, 40)),
  },
];
