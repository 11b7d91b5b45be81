// States that a hostile server must bring its site to, and how often in 5,000 steps: a test that
// reaches less says little.
import { FRAME_TYPES } from '../../../src/frame/frame.js';

export const SITE_COVERED: readonly (readonly [what: string, least: number])[] = [
  ...Object.keys(FRAME_TYPES).map((type) => [`sent ${type}`, 2] as const),
  ...['join', 'next', 'progress', 'evaluated', 'fail', 'retrieve'].map((name) => [`${name}: good`, 5] as const),
  ['has-base: good', 1],
  ...['join', 'next', 'progress', 'evaluated', 'fail', 'retrieve'].map((name) => [`${name}: wild`, 5] as const),
  ...['join', 'next', 'retrieve'].map((name) => [`${name}: lying`, 3] as const),
  ...['train', 'evaluate', 'base', 'offer'].map((kind) => [`task ${kind}`, 20] as const),
  // The site works all along, and its trainer sees models whose digests were stated.
  ['joined', 40],
  ['trainer: train', 60],
  ['trainer: evaluate', 40],
  ['trainer: offer', 20],
  ['trainer: a digest', 40],
  ['took a result', 50],
  // Objects are confirmed, refused, and asked for again.
  ['got done', 80],
  ['got refuse', 30],
  ['got retry', 1],
  // The limits of its owner hold, and its errors say what they are.
  ['all repeats used', 5],
  ['the failure of a task: refused', 10],
  ['the failure of a task: limit', 2],
  ['the failure of a task: digest', 1],
  ['the end of the site: refused', 1],
  ['the end of the site: closed', 2],
  ['site stopped', 3],
];
