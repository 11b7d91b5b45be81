// The public entry `fedstream`: what a job file, a kit, and a program that embeds FedStream need.
export type { Codec, CodecRow, CodecTable, EncodeReport } from '../codec/codec.js';
export { codecTable } from '../codec/codec-rows.js';
export { referenceCodecs } from '../codec/codec-table.js';
export { NonFiniteValue } from '../codec/scaling.js';
export { type ErrorCode, FedStreamError } from '../core/errors.js';
export { type Logger, silentLogger } from '../core/log.js';
export { memoryFolder } from '../core/memory-folder.js';
export { type Row, row, type Table } from '../core/row.js';
export type { Folder } from '../core/storage.js';
export type { Driver } from '../driver/driver.js';
export { memory } from '../driver/memory.js';
export { sumModel } from '../exchange/reduce.js';
export { type FileOptions, Retriever, type RetrieverOptions } from '../exchange/retriever.js';
export type { Filter, FilterContext } from '../filter/filter.js';
export { type Prover, type SiteCredentials, siteCredentials } from '../frame/proof.js';
export { Session, type SessionOptions } from '../frame/session.js';
export { makeToken, type TokenVerifier, tokenVerifier } from '../frame/token.js';
export type { AdmissionRules } from '../hub/admission.js';
export { Hub } from '../hub/hub.js';
export { addJobRun, type JobRun, type JobRunOptions } from '../hub/job-run.js';
export { runServer, type ServerOptions } from '../hub/server.js';
export { defineJob, type Job, type JobInput } from '../job/job.js';
export { builtInKit, type Kit, kitWith, parseJob, workflowOf } from '../kit/kit.js';
export type { MakeTrainer, TrainerContext } from '../kit/make-trainer.js';
export type { EmitEvent, RunEvent } from '../record/events.js';
export { openRunRecord, type RunRecordOptions } from '../record/run-record.js';
export { type EventStream, type EventStreamOptions, eventStream } from '../record/sinks/event-stream.js';
export type { Sink } from '../record/sinks/sink.js';
export { writeInitialModel } from '../server/global-models.js';
export type { RunResult } from '../server/run.js';
export type { SwarmListening, SwarmOptions } from '../swarm/options.js';
export { swarmTasks } from '../swarm/swarm-tasks.js';
export type { Manifest, TensorEntry } from '../tensor/manifest.js';
export { type MemoryTensor, memoryStateDict } from '../tensor/memory-state-dict.js';
export { joinDicts, type NamedDicts, splitDicts } from '../tensor/named-dicts.js';
export { openSafetensors, writeSafetensors } from '../tensor/safetensors.js';
export type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
export { zerosLike } from '../tensor/zeros.js';
export type { Metrics, Trainer, TrainResult, TrainTask } from '../trainer/trainer.js';
export { Offers, type OffersOptions } from '../transfer/offers.js';
export { type ReceiveTensorsOptions, TensorReceiver } from '../transfer/receive-tensors.js';
export { type Aggregating, aggregated } from '../workflow/aggregate/aggregated.js';
export type {
  Aggregator,
  AggregatorInput,
  Contribution,
  LeastResults,
  Made,
  NextModel,
  Together,
} from '../workflow/aggregate/aggregator.js';
export { mean, meanUpdate, resultMean } from '../workflow/aggregate/mean.js';
export { overlaid } from '../workflow/aggregate/overlay.js';
export { resultChunks } from '../workflow/aggregate/result-chunks.js';
export { needing } from '../workflow/aggregate/robust/needing.js';
export type {
  Ask,
  DictWriter,
  Federation,
  GatherOptions,
  ModelStore,
  Offer,
  Outcome,
  Reply,
  Step,
  Workflow,
} from '../workflow/federation.js';
export { inRounds } from '../workflow/in-rounds.js';
export type { MakeWorkflow } from '../workflow/workflows.js';
export { type InMemoryOptions, type InMemoryResult, runInMemory } from './run-in-memory.js';
export { type RelayRunOptions, runRelay } from './run-relay.js';
export { runSite, type SiteOptions } from './run-site.js';
