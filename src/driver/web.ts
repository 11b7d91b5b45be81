// The public entry `fedstream/web`: drivers for pages and workers, which need nothing of Node.
export { chooseDriver } from './choose-driver.js';
export type { Connection, Driver, DriverOptions, Listener } from './driver.js';
export { fetchClient } from './fetch-client.js';
export { memory } from './memory.js';
export { type WebSocketClientOptions, type WebSocketLike, webSocketClient } from './web-socket-client.js';
