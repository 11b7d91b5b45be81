// Answers to the questions that browsers ask before a page's requests (Fetch, "CORS protocol").
import type { IncomingMessage, ServerResponse } from 'node:http';
import { HTTP_HEADER } from '../../driver/http-protocol.js';

/** How long a browser need not ask again. */
const MAX_AGE_S = 600;

/**
 * Lets the page of the request read the answer. The origin must be allowed: it is repeated, never
 * `*`.
 */
export function letPageRead(origin: string, response: ServerResponse): void {
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('access-control-expose-headers', HTTP_HEADER);
  response.setHeader('vary', 'origin');
}

/**
 * Answers a browser that asks whether a page may send its requests; false for another request. The
 * request must have been let in.
 */
export function answerPreflight(request: IncomingMessage, response: ServerResponse): boolean {
  const { origin } = request.headers;
  if (request.method !== 'OPTIONS' || origin === undefined || request.headers['access-control-request-method'] === undefined) return false;
  response.setHeader('access-control-allow-methods', 'GET, POST, DELETE');
  response.setHeader('access-control-allow-headers', 'content-type');
  response.setHeader('access-control-max-age', String(MAX_AGE_S));
  // A page of the internet may ask for a server on the visitor's own network only with this.
  if (request.headers['access-control-request-private-network'] === 'true')
    response.setHeader('access-control-allow-private-network', 'true');
  response.writeHead(204).end();
  return true;
}
