// The frames between hello and the first request by which two sides prove that they know a token.
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { Tellable } from '../core/told.js';
import type { Frame } from './frame.js';
import { pack, unpack } from './pack.js';
import { PROOF_BYTES, type Prover } from './proof.js';

/** What an exchange needs of its session. */
export interface ProofExchange {
  /** The other side, for messages. */
  readonly peer: string;
  /** What the proofs are bound to (`transcriptOf`). */
  readonly transcript: Uint8Array;
  /** Sends the header of a frame of type `proof`. */
  send(header: Uint8Array): void;
  /** Reads the next frame, which must be of type `proof`; rejects if it is not, or none comes. */
  next(): Promise<Frame>;
}

const proofSchema = z.strictObject({
  proof: z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length === PROOF_BYTES, `must be ${PROOF_BYTES} bytes`),
});

/**
 * The site's part: nothing of it leaves before the server has proven that it knows the token.
 * Rejects with `refused` where the server does not.
 */
export async function proveToServer(exchange: ProofExchange, prover: Prover): Promise<void> {
  if (!(await prover.verify(exchange.transcript, await received(exchange))))
    throw new FedStreamError(
      'refused',
      `${exchange.peer} does not know the token of this site: it is not the one of that run (--run names it, where the server has several), or another program is at the address; compare token, run and address with whoever runs the server`,
      { cause: new Tellable() },
    );
  exchange.send(pack({ proof: await prover.prove(exchange.transcript) }));
}

/** The server's part, which is first; resolves with whether the site's proof is right. */
export async function proveToSite(exchange: ProofExchange, prover: Prover): Promise<boolean> {
  exchange.send(pack({ proof: await prover.prove(exchange.transcript) }));
  return prover.verify(exchange.transcript, await received(exchange));
}

async function received({ peer, next }: ProofExchange): Promise<Uint8Array> {
  return unpack((await next()).header, proofSchema, `the proof of ${peer}`).proof;
}
