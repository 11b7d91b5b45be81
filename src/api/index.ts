// The public entry `fedstream`: what a job file and a program that embeds FedStream need.
export { referenceCodecs } from '../codec/codec-table.js';
export { type ErrorCode, FedStreamError } from '../core/errors.js';
export { memoryFolder } from '../core/memory-folder.js';
export type { Folder } from '../core/storage.js';
export { type FileOptions, Retriever, type RetrieverOptions } from '../exchange/retriever.js';
export { Session, type SessionOptions } from '../frame/session.js';
export { defineJob, type Job, type JobInput } from '../job/job.js';
export { parseJob } from '../kit/kit.js';
export type { RunEvent } from '../record/events.js';
export { type EventStream, type EventStreamOptions, eventStream } from '../record/sinks/event-stream.js';
export type { Sink } from '../record/sinks/sink.js';
export { Offers, type OffersOptions } from '../transfer/offers.js';
export { type ReceiveTensorsOptions, TensorReceiver } from '../transfer/receive-tensors.js';
