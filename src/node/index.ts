// The entry `fedstream/node`: what a program on Node gives the platform-free parts of FedStream.
export { nodeCodecs } from './codecs.js';
export { nodeFolder } from './node-folder.js';
