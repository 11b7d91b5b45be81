// The names of the drivers between processes, as URLs, jobs and the command line have them.

/** Each is the scheme of its URLs. */
export const SCHEMES = ['tcp', 'tcps', 'uds', 'ws', 'wss', 'http', 'https', 'grpc', 'grpcs'] as const;

export type Scheme = (typeof SCHEMES)[number];

const SECURED: ReadonlySet<string> = new Set<Scheme>(['tcps', 'wss', 'https', 'grpcs']);
/** Schemes that never leave the machine. */
const LOCAL: ReadonlySet<string> = new Set(['memory', 'uds']);

export function schemeOf(url: string): string {
  return url.split(':')[0] as string;
}

/** Whether the URL's driver is inside TLS. */
export function isSecured(url: string): boolean {
  return SECURED.has(schemeOf(url));
}

/** Whether whoever sits on the network could read what goes to or comes from this URL. */
export function isExposed(url: string): boolean {
  if (isSecured(url) || LOCAL.has(schemeOf(url))) return false;
  const host = /^[a-z]+:\/\/(\[[^\]]*\]|[^:/]*)/.exec(url)?.[1] ?? '';
  return !/^(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\]|localhost)$/.test(host);
}
