// The address that a peer's connections are counted by.

/** How many of the eight groups of an IPv6 address are one customer's: a /64 (RFC 6177). */
const NETWORK_GROUPS = 4;

/**
 * The address of a peer `host:port`: an IPv4 address, also one written as IPv6, or the first 64
 * bits of an IPv6 address, since a single machine has as many of those as it likes. A peer of
 * another kind, such as a path, is its own address.
 */
export function addressOf(peer: string): string {
  const [, host] = /^\[?([0-9a-fA-F:.]*[:.][0-9a-fA-F:.]*?)(?:%[^\]:]*)?\]?:\d+$/.exec(peer) ?? [];
  return host === undefined ? peer : networkOf(host);
}

/** The same for an address without a port. */
export function networkOf(host: string): string {
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host) ?? [];
  if (mapped !== undefined) return mapped;
  if (!host.includes(':')) return host;
  const [front = '', back] = host.toLowerCase().split('::');
  const groups = front === '' ? [] : front.split(':');
  const behind = back === undefined || back === '' ? [] : back.split(':');
  const missing = back === undefined ? 0 : Math.max(8 - groups.length - behind.length, 0);
  const all = [...groups, ...new Array<string>(missing).fill('0'), ...behind];
  const network = all.slice(0, NETWORK_GROUPS).map((group) => group.replace(/^0+(?=.)/, ''));
  return `${network.join(':')}::/64`;
}
