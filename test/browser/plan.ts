// Names and settings that page.ts and browser.test.ts share.
import { z } from 'zod';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { someModel } from '../wire/models.js';

export const SCHEMES = ['ws', 'http'] as const;
export type Scheme = (typeof SCHEMES)[number];

/**
 * The server of each check; `flooded` returns over HTTP the bytes that the flooding one has sent.
 */
export type Urls = Readonly<Record<'echo' | 'model' | 'breaks' | 'nobody' | 'floods' | 'flooded', string>>;

const ALL = [
  'frames of every size come back, whole and in order',
  'with a token that is proven, a coded model comes, and one goes, verified',
  'a connection that breaks says so',
  'where nobody is, nobody is waited for',
] as const;
const STOPS = 'who does not read stops the other side';
export type Check = (typeof ALL)[number] | typeof STOPS;

/**
 * A page's WebSocket has no way to stop its sender; the windows of byte streams bound what waits.
 */
export const CHECKS: Readonly<Record<Scheme, readonly Check[]>> = { ws: ALL, http: [...ALL, STOPS] };

export interface Found {
  readonly scheme: Scheme;
  readonly check: Check;
  /** Undefined if all is well. */
  readonly error?: string | undefined;
}

/** The token by which the page proves its name. */
export const PAGE_TOKEN = 'fedstream-token-1:page:8f3c1e0b5a7d924466e1f0a3c2b59d8e7710fe4c3a9b6d52e8c4017fd3ab9526';

/**
 * Asks the server to compare the page's model, and the object that the page offers, with its own.
 */
export const compareSchema = z.strictObject({ digest: z.string() });
export const comparisonSchema = z.strictObject({ global: z.boolean(), update: z.boolean() });

/** Sizes from a byte to the limit. */
export function framesOfAllSizes(): Uint8Array[] {
  const sizes = [1, 2, 125, 126, 127, 65_535, 65_536, 1, 300_000, 4 * 2 ** 20 + 4096, 17, 2 ** 20, 4 * 2 ** 20, 1];
  return sizes.map((size, seed) => Uint8Array.from({ length: size }, (_, i) => (i * 31 + seed * 7) ^ (i >> 9)));
}

/** Large enough for several leaves each way. */
export const theGlobal = (): StateDict => someModel({ codec: 'nf4' }, 1, 5_000_000);
export const anUpdate = (): StateDict => someModel({ codec: 'fp16' }, 2, 2_000_000);
