// The tcp driver: frames over a socket, each behind its length as a little-endian u32.
import { connect, createServer, type Server } from 'node:net';
import { addressUrl, parseAddress } from '../../driver/address.js';
import type { Driver } from '../../driver/driver.js';
import { BOTH_FAMILIES } from './both-families.js';
import { identify } from './identify.js';
import { socketDriver } from './socket-driver.js';
import { socketPeer } from './socket-peer.js';

/** Connects and listens at `tcp://host:port`; port 0 lets the system choose one. */
export function tcp(): Driver {
  return socketDriver({
    scheme: 'tcp',
    ready: 'connect',
    check: (url) => void parseAddress(url, 'tcp'),
    dial(url, { onread }) {
      const { host, port } = parseAddress(url, 'tcp');
      return connect({ host, port, noDelay: true, ...BOTH_FAMILIES, onread });
    },
    serve: (accept) => createServer({ noDelay: true }, accept),
    where(url) {
      const { host, port } = parseAddress(url, 'tcp');
      return { host, port };
    },
    url: (url, server) => addressUrl('tcp', parseAddress(url, 'tcp'), portOf(server)),
    peer: socketPeer,
    identify,
  });
}

/** The port that a server really listens on. */
export function portOf(server: Server): number {
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
}
