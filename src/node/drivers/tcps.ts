// The tcps driver: tcp inside TLS, with certificates on either side.
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { addressUrl, parseAddress } from '../../driver/address.js';
import type { Driver } from '../../driver/driver.js';
import { BOTH_FAMILIES } from './both-families.js';
import { identify } from './identify.js';
import { socketDriver } from './socket-driver.js';
import { socketPeer } from './socket-peer.js';
import { portOf } from './tcp.js';
import { certificateNames, clientTls, type TlsMaterial } from './tls.js';
import { tlsServer } from './tls-server.js';
import { writeEach } from './write-parts.js';

/** Connects and listens at `tcps://host:port`. */
export function tcps(material?: TlsMaterial): Driver {
  return socketDriver({
    scheme: 'tcps',
    ready: 'secureConnect',
    check: (url) => void parseAddress(url, 'tcps'),
    dial(url, { onread }) {
      const { host, port } = parseAddress(url, 'tcps');
      // The types of Node 20 lack `onread` here; its documentation and its code have it.
      const socket = connect({ host, port, ...BOTH_FAMILIES, ...clientTls(material, host), onread } as ConnectionOptions);
      writeEach(socket);
      return socket.setNoDelay(true);
    },
    serve: (accept, options) => tlsServer(accept, { ...options, scheme: 'tcps', material }),
    where(url) {
      const { host, port } = parseAddress(url, 'tcps');
      return { host, port };
    },
    url: (url, server) => addressUrl('tcps', parseAddress(url, 'tcps'), portOf(server)),
    peer: socketPeer,
    identify,
    certificateNames: (socket) => certificateNames(socket as TLSSocket),
  });
}
