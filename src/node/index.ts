// The public entry `fedstream/node`: codecs, folders and sinks for programs on Node.
export { nodeCodecs } from './codec/codecs.js';
export { nodeSinks, openSink } from './sinks/node-sinks.js';
export { nodeFolder } from './storage/node-folder.js';
