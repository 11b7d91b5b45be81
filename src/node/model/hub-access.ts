// The address and the token of the Hugging Face hub, requests with a limit on silence, and its failures in words.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { asFedStreamError, FedStreamError } from '../../core/errors.js';
import { type HubName, hubHome } from './hub-cache.js';

/** The time that the hub has for the beginning of an answer. */
const ANSWER_MS = 30_000;

/** What every call of the hub's library is given. */
export interface HubAccess {
  readonly url: string;
  readonly parameters: { readonly hubUrl: string; readonly fetch: typeof fetch; readonly accessToken?: string };
}

/** Reads HF_ENDPOINT, HF_TOKEN and the token that `huggingface-cli login` left. */
export function hubAccess(environment: NodeJS.ProcessEnv, signal?: AbortSignal): HubAccess {
  const url = (environment.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, '');
  const accessToken = tokenOf(environment);
  return { url, parameters: { hubUrl: url, fetch: fetchInTime(signal), ...(accessToken === undefined ? {} : { accessToken }) } };
}

function tokenOf(environment: NodeJS.ProcessEnv): string | undefined {
  const token = environment.HF_TOKEN?.trim() || readToken(environment.HF_TOKEN_PATH ?? join(hubHome(environment), 'token'));
  return token?.startsWith('hf_') ? token : undefined;
}

function readToken(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined; // most machines have none
  }
}

/** A fetch that gives up if the answer does not begin in time; its body has the limit of `fetchBlob`. */
function fetchInTime(signal: AbortSignal | undefined): typeof fetch {
  return async (input, init) => {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new FedStreamError('timeout', `no answer in ${ANSWER_MS / 1000} s`)), ANSWER_MS);
    const signals = [late.signal, ...(signal ? [signal] : []), ...(init?.signal ? [init.signal] : [])];
    try {
      return await fetch(input, { ...init, signal: AbortSignal.any(signals) });
    } finally {
      clearTimeout(timer);
    }
  };
}

/** The error of a failed download, in words: gated, not there, or no network. */
export function hubFailure(error: unknown, { name, revision }: HubName, { url }: HubAccess): FedStreamError {
  if (error instanceof FedStreamError && error.code !== 'timeout') return error;
  const status = (error as { statusCode?: number }).statusCode;
  const page = `${url}/${name}`;
  if (status === 401 || status === 403)
    return new FedStreamError(
      'bad-model',
      `hf://${name} cannot be fetched (${status}): it is gated, private, or not there; agree to its licence at ${page}, then run \`huggingface-cli login\` or set HF_TOKEN`,
      { cause: error },
    );
  if (status === 404)
    return new FedStreamError('not-found', `${url} has no model ${name} of the revision ${revision}; check the name at ${page}`, {
      cause: error,
    });
  if (status !== undefined) return new FedStreamError('io', `${url} answered ${status} for ${name}; try again later`, { cause: error });
  const reason = reasonOf(error);
  if (reason === undefined) return asFedStreamError(error, 'io', `hf://${name} cannot be fetched`);
  return new FedStreamError(
    'io',
    `hf://${name} cannot be fetched: ${url} does not answer (${reason}); check the network, name a mirror in HF_ENDPOINT, or copy the model's folder here and name that; the same command goes on where it ended`,
    { cause: error },
  );
}

/** The system's word for a network that failed, or undefined where it did not. */
function reasonOf(error: unknown): string | undefined {
  if (error instanceof FedStreamError) return error.message;
  const cause = (error as { cause?: { code?: string } }).cause;
  if (cause?.code !== undefined) return cause.code;
  return error instanceof TypeError || typeof error === 'string' ? String((error as Error).message ?? error) : undefined;
}
