// The public entry `fedstream/drivers`: the transports of Node, to be passed in.
export { chooseDriver } from '../../driver/choose-driver.js';
export type { Connection, Driver, DriverOptions, Listener } from '../../driver/driver.js';
export { memory } from '../../driver/memory.js';
export { striped } from '../../driver/striped.js';
export { grpc, grpcs } from './grpc.js';
export { http, https } from './http.js';
export { nodeDrivers } from './node-drivers.js';
export { tcp } from './tcp.js';
export { tcps } from './tcps.js';
export type { TlsMaterial } from './tls.js';
export { uds } from './uds.js';
export { ws, wss } from './ws.js';
