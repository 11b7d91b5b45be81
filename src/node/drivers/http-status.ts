// What an HTTP status means for a connection that did not come about: an outage, or a mistake that another try repeats.
import { type ErrorCode, FedStreamError } from '../../core/errors.js';

/**
 * Statuses of a server, or of a proxy in front of it, that is there in a moment: too slow (408), too
 * early (425), too many (429), at its end (410, of FedStream's own), and faults of its own (5xx).
 */
function statusIsAnOutage(status: number): boolean {
  return [408, 410, 425, 429, 500, 502, 503, 504].includes(status) || (status >= 520 && status <= 530);
}

const DENIED: ReadonlySet<number> = new Set([401, 403, 407, 421]);

/** The words for a status. */
const ANSWERS: Readonly<Record<number, string>> = {
  301: 'it sends its clients to another address',
  302: 'it sends its clients to another address',
  307: 'it sends its clients to another address',
  308: 'it sends its clients to another address',
  400: 'it cannot read the request; check the scheme of the address, and what a proxy on the way passes on',
  401: 'it asks for a login that FedStream does not have; let the path of the server through without one, sites prove their names themselves',
  403: 'it does not let this side in: a FedStream server lets in no pages of an origin that it was not started with (--allow-origin); a proxy or firewall needs a rule for the path',
  404: 'it listens at another path, or is no FedStream server; check the path of the address',
  407: 'a proxy on the way asks for a login; connect past it',
  410: 'nobody listens there any more',
  421: 'it does not go by the name in the address; its server must be started with --allow-host',
  426: 'it speaks another protocol there; check the scheme of the address',
  502: 'a proxy is there, and its server is not',
  503: 'a proxy is there, and its server is not',
  504: 'a proxy is there, and its server does not answer',
};

/**
 * The error of a server whose answer to a new connection is another than was `expected`: `closed`
 * for an outage, `refused` where this side is not let in, `bad-argument` for a wrong address.
 */
export function answerError(url: string, status: number, expected: string, location?: string): FedStreamError {
  const code: ErrorCode = statusIsAnOutage(status) ? 'closed' : DENIED.has(status) ? 'refused' : 'bad-argument';
  const known = Object.hasOwn(ANSWERS, status) ? `${ANSWERS[status]} (HTTP status ${status})` : `it answered ${status}, not ${expected}`;
  const elsewhere =
    location === undefined || status < 300 || status > 399 ? '' : `: ${location}; write that one, with the scheme of FedStream`;
  return new FedStreamError(code, `cannot connect to ${url}: ${known}${elsewhere}`);
}
