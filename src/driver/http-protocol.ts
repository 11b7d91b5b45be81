// Frames in plain HTTP requests: the paths that client and server agree on (docs/spec/drivers.md).

/** The path of a connection, behind whatever path a reverse proxy needs. */
export const HTTP_PATH = '/fedstream/1';
/**
 * A header of every answer of a FedStream server, so that a captive portal is not taken for one.
 */
export const HTTP_HEADER = 'fedstream';
/** The value of that header. */
export const HTTP_VERSION = '1';
/** The content type of bodies that carry frames. */
export const FRAMES_TYPE = 'application/vnd.fedstream.frames';

const ID = /^[0-9a-f]{32}$/;

/** The purpose of a request. */
export type HttpTarget =
  | { readonly kind: 'open' }
  /** The answer brings the server's frames until the connection ends. */
  | { readonly kind: 'down'; readonly id: string }
  /** The body brings some of the client's frames; `turn` counts these requests from 0. */
  | { readonly kind: 'up'; readonly id: string; readonly turn: number }
  /** Nothing follows the requests before this turn. */
  | { readonly kind: 'end'; readonly id: string; readonly turn: number };

/** The path of a request for this purpose. */
export function pathOf(target: HttpTarget): string {
  if (target.kind === 'open') return HTTP_PATH;
  return `${HTTP_PATH}/${target.id}${'turn' in target ? `/${target.turn}` : ''}`;
}

/**
 * The purpose of a request, or undefined if it is not for the FedStream server whose URL has this
 * path.
 */
export function targetOf(method: string, url: string, path = ''): HttpTarget | undefined {
  const start = `${path}${HTTP_PATH}`;
  if (!url.startsWith(start)) return undefined;
  const [empty, id, turn, ...rest] = url.slice(start.length).split('/');
  if (empty !== '' || rest.length > 0) return undefined;
  if (id === undefined) return method === 'POST' ? { kind: 'open' } : undefined;
  if (!ID.test(id)) return undefined;
  if (turn === undefined) return method === 'GET' ? { kind: 'down', id } : undefined;
  if (!/^\d{1,15}$/.test(turn)) return undefined;
  if (method === 'POST') return { kind: 'up', id, turn: Number(turn) };
  return method === 'DELETE' ? { kind: 'end', id, turn: Number(turn) } : undefined;
}

/** True for the id of a connection: 32 hexadecimal digits. */
export function isConnectionId(text: string): boolean {
  return ID.test(text);
}

/** The error text for frames whose request was answered with another status than 204. */
export function refusedFrames(status: number): string {
  if (status !== 413) return `it answered ${status}`;
  return 'it answered 413: a proxy on the way takes no bodies of this size; raise its limit (docs/proxies.md)';
}
