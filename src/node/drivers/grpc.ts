// The grpc and grpcs drivers: a connection is one bidirectional call (proto/fedstream/v1/frames.proto).
import { addressUrl, parseAddress } from '../../driver/address.js';
import type { Driver } from '../../driver/driver.js';
import { connectGrpc } from './grpc-client.js';
import type { GrpcPackage, GrpcScheme } from './grpc-options.js';
import { listenGrpc } from './grpc-server.js';
import { needPackage } from './need-package.js';
import type { TlsMaterial } from './tls.js';

/** `grpc://host:port`. */
export function grpc(): Driver {
  return grpcDriver('grpc', undefined);
}

/** `grpcs://host:port`: inside TLS. */
export function grpcs(material?: TlsMaterial): Driver {
  return grpcDriver('grpcs', material);
}

function grpcDriver(scheme: GrpcScheme, material: TlsMaterial | undefined): Driver {
  const load = (): Promise<GrpcPackage> => needPackage('@grpc/grpc-js', `${scheme}://`, () => import('@grpc/grpc-js'));
  return {
    schemes: [scheme],
    async connect(url, options = {}) {
      const address = parseAddress(url, scheme);
      return connectGrpc(await load(), { address, scheme, material, ...options });
    },
    async listen(url, accept, options = {}) {
      const address = parseAddress(url, scheme);
      const { port, close } = await listenGrpc(await load(), { address, scheme, material, ...options }, accept);
      return { url: addressUrl(scheme, address, port), close };
    },
  };
}
