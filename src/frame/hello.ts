// Hello, the first frame of each side: the versions it speaks, its name, and the run it is for.
import { z } from 'zod';
import { BUDGETS } from '../core/budgets.js';
import { FedStreamError } from '../core/errors.js';
import { RELEASE_PATTERN } from '../core/release.js';
import { pack, unpack } from './pack.js';
import { NONCE_BYTES } from './proof.js';
import { commonVersion, type VersionRange } from './versions.js';

/** Features of this code beyond version 1; the other side sees them in `Session.peerFeatures`. */
export const FEATURES = [
  'run', // serves the run that hello names, or refuses
  'retrieve', // gives files and models to the request of that name
  'proof', // proves that it knows a token, and sends none
  'about', // a site tells what its training rests on, and a server compares that
  'relays', // a server tells a relay how rounds wait, and how results are combined
] as const;

/** The feature of a site that passes its tasks on to sites of its own. */
export const RELAY_FEATURE = 'relay';

/** The shortest idle limit that a side may state, in milliseconds. */
export const MIN_IDLE_MS = 100;
const MAX_IDLE_MS = 86_400_000;
/** Limits on the features that a peer makes this side read. */
const MAX_FEATURES = 64;
const MAX_FEATURE_CHARACTERS = 64;

/** The fields of one side's hello. */
export interface Hello {
  readonly versions: VersionRange;
  readonly name: string;
  /**
   * The silence, in milliseconds, after which this side gives the connection up. It is a duration,
   * not a time, since clocks differ.
   */
  readonly idleMs: number;
  readonly features: readonly string[];
  /**
   * Random bytes that the proof of a token is bound to: of a server, and of a site that has a token.
   */
  readonly nonce?: Uint8Array | undefined;
  /** The run that a site wants to join; without it, the only one of the server. */
  readonly run?: string | undefined;
  /** The release of FedStream, for messages alone: which side is older. Older releases say none. */
  readonly release?: string | undefined;
}

const version = z.int().min(1);
const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);

/**
 * Read before the other fields, which this version must not judge if a later version wrote them.
 */
const versionsSchema = z.object({ version, newest: version.optional(), name: name.optional().catch(undefined) });

/** Unknown fields are ignored, so that a later version can add some. */
const helloSchema = z.object({
  name,
  idleMs: z.int().min(MIN_IDLE_MS).max(MAX_IDLE_MS),
  nonce: z
    .custom<Uint8Array>((value) => value instanceof Uint8Array && value.length === NONCE_BYTES, `must be ${NONCE_BYTES} bytes`)
    .optional(),
  /** A token itself, as older versions sent it. */
  token: z.unknown().optional(),
  features: z.array(z.string().max(MAX_FEATURE_CHARACTERS)).max(MAX_FEATURES).default([]),
  run: name.optional(),
  release: z.string().max(40).regex(RELEASE_PATTERN).optional().catch(undefined),
});

/**
 * Encodes a hello. The field `version` is the oldest version: sides that know no ranges read it
 * alone, and speak nothing newer.
 */
export function encodeHello({ versions, ...hello }: Hello): Uint8Array {
  return pack({ version: versions.oldest, newest: versions.newest, ...hello });
}

/**
 * Reads the other side's hello, and finds the version that both speak. Throws `bad-frame`, or
 * `unsupported` if they have none in common, or if the other side sends a token, as older versions
 * did.
 */
export function decodeHello(header: Uint8Array, own: VersionRange, peer: string): Hello & { readonly version: number } {
  const what = `the hello of ${peer}`;
  const most = BUDGETS.helloItems.limit;
  const { version: oldest, newest = oldest, name: said } = unpack(header, versionsSchema, what, most);
  if (newest < oldest) throw new FedStreamError('bad-frame', `${what} is wrong at newest: ${newest} is below its oldest, ${oldest}`);
  const versions = { oldest, newest };
  const agreed = commonVersion(own, versions, said ?? peer, said ? `${said} (${peer})` : peer);
  const { token, ...hello } = unpack(header, helloSchema, what, most);
  if (token !== undefined)
    throw new FedStreamError(
      'unsupported',
      `${said ?? peer} sends its token itself, as older versions of FedStream did, and anybody on the way could use it: update FedStream there, and give the site a new token (fedstream token --site ${said ?? 'NAME'})`,
    );
  return { ...hello, versions, version: agreed };
}
