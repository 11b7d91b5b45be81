// The table of drivers on Node, chosen from by the scheme of a URL.
import { chooseDriver } from '../../driver/choose-driver.js';
import type { Driver } from '../../driver/driver.js';
import { grpc, grpcs } from './grpc.js';
import { http, https } from './http.js';
import { tcp } from './tcp.js';
import { tcps } from './tcps.js';
import type { TlsMaterial } from './tls.js';
import { uds } from './uds.js';
import { ws, wss } from './ws.js';

/**
 * All drivers between processes; `material` is for those inside TLS. A package is loaded only when
 * its scheme is used.
 */
export function nodeDrivers(material?: TlsMaterial): Driver {
  return chooseDriver([tcp(), uds(), ws(), http(), grpc(), tcps(material), wss(material), https(material), grpcs(material)]);
}
