// The schemes of URLs, and which of them others on the network can read.

/** Drivers between processes; each is named after the scheme of its URLs. */
export const SCHEMES = ['tcp', 'tcps', 'uds', 'ws', 'wss', 'http', 'https', 'grpc', 'grpcs'] as const;

/** The name of a driver between processes. */
export type Scheme = (typeof SCHEMES)[number];

const SECURED: ReadonlySet<string> = new Set<Scheme>(['tcps', 'wss', 'https', 'grpcs']);
/** Schemes that never leave the machine. */
const LOCAL: ReadonlySet<string> = new Set(['memory', 'uds']);

/** The part of a URL before its colon. */
export function schemeOf(url: string): string {
  return url.split(':')[0] as string;
}

/** True if the driver of this URL is inside TLS. */
export function isSecured(url: string): boolean {
  return SECURED.has(schemeOf(url));
}

/**
 * True if others on the network could read the traffic of this URL: plain text to another machine.
 */
export function isExposed(url: string): boolean {
  if (isSecured(url) || LOCAL.has(schemeOf(url))) return false;
  const host = /^[a-z]+:\/\/(\[[^\]]*\]|[^:/]*)/.exec(url)?.[1] ?? '';
  return !/^(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\]|localhost)$/.test(host);
}
