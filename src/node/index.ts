// The entry `fedstream/node`: what a program on Node gives the platform-free parts of FedStream.
export { nodeCodecs } from './codec/codecs.js';
export { nodeSinks, openSink } from './sinks/node-sinks.js';
export { nodeFolder } from './storage/node-folder.js';
