// States that the steps must reach, and how often in 100,000 of them: a test that reaches less
// says little.
import { FRAME_TYPES } from '../../../src/frame/frame.js';

const FRAMES = Object.keys(FRAME_TYPES).map((type) => [`sent ${type}`, 20] as const);

export const COVERED: readonly (readonly [what: string, least: number])[] = [
  ...FRAMES.filter(([what]) => what !== 'sent refuse'),
  ['sent refuse', 10],
  ...['join', 'next', 'progress', 'evaluated', 'fail', 'has-base', 'retrieve', 'file', 'object'].map(
    (name) => [`${name}: ok`, 40] as const,
  ),
  ...['progress', 'evaluated', 'fail', 'has-base', 'retrieve', 'file', 'object'].map((name) => [`${name}: bad-frame`, 40] as const),
  ...['retrieve', 'file', 'object'].map((name) => [`${name}: not-found`, 40] as const),
  ...['__proto__', 'constructor', 'unknown'].map((name) => [`${name}: unsupported`, 40] as const),
  ['evaluated: refused', 40],
  // Sessions end in every way.
  ['bye bad-frame', 300],
  ['bye refused', 300],
  ['bye unsupported', 10],
  ['ended unread', 1],
  // Results are taken, refused for each reason, resumed, and confirmed a second time.
  ['confirmed', 200],
  ['resumed', 20],
  ['got retry', 10],
  ['got credit', 10],
  ['sent early', 50],
  ...['bad-frame', 'refused', 'limit', 'bad-manifest', 'bad-model'].map((code) => [`refuse ${code}`, 10] as const),
  ['refuse digest', 2],
  ['refuse non-finite', 1],
  // Objects are fetched whole, within their round and after it.
  ['fetched whole', 100],
  ['taken whole', 50],
  ['taken whole in a later round', 3],
  // Tasks of insiders end in every way, and the runs end before their insiders leave.
  ['task done', 400],
  ['task failed', 50],
  ['task late', 20],
  ['task silent', 100],
  ['stopped', 10],
];
