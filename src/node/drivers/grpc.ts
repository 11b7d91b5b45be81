// The grpc and grpcs drivers: a connection is one bidirectional call, over Node's HTTP/2.
import { parseAddress } from '../../driver/address.js';
import type { Driver } from '../../driver/driver.js';
import { connectGrpc } from './grpc-client.js';
import { listenGrpc } from './grpc-server.js';
import { identify } from './identify.js';
import type { TlsMaterial } from './tls.js';

/** Connects and listens at `grpc://host:port` (proto/fedstream/v1/frames.proto). */
export function grpc(): Driver {
  return grpcDriver('grpc', undefined);
}

/** Connects and listens at `grpcs://host:port`, inside TLS. */
export function grpcs(material?: TlsMaterial): Driver {
  return grpcDriver('grpcs', { scheme: 'grpcs', material });
}

function grpcDriver(
  scheme: 'grpc' | 'grpcs',
  tls: { readonly scheme: string; readonly material: TlsMaterial | undefined } | undefined,
): Driver {
  return {
    schemes: [scheme],
    connect: async (url, options = {}) => connectGrpc({ address: parseAddress(url, scheme), tls, ...options }),
    identify,
    listen: async (url, accept, options = {}) => listenGrpc({ address: parseAddress(url, scheme), tls, ...options }, accept),
  };
}
