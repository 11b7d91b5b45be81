// The public entry `fedstream/testing`: conformance suites for parts of one's own.
export { testAggregator } from './aggregator-conformance.js';
export type { AggregatorUnderTest } from './aggregator-samples.js';
export type { RegisterTest } from './checks.js';
export { testCodec } from './codec-conformance.js';
export type { CodecUnderTest } from './codec-samples.js';
export { testDriver } from './driver-conformance.js';
export type { DriverUnderTest } from './driver-pairs.js';
export { type FilterUnderTest, testFilter } from './filter-conformance.js';
export { testFolder } from './folder-conformance.js';
export type { Options } from './row-options.js';
export type { WorkflowUnderTest } from './scripted-federation.js';
export { type SinkUnderTest, testSink } from './sink-conformance.js';
export { type TrainerUnderTest, testTrainer } from './trainer-conformance.js';
export { testWorkflow } from './workflow-conformance.js';
