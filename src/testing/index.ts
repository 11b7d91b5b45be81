// The public entry `fedstream/testing`: suites for parts of one's own (drivers, folders, trainers,
// sinks, …), for any test framework.
export type { RegisterTest } from './checks.js';
export { testDriver } from './driver-conformance.js';
export type { DriverUnderTest } from './driver-pairs.js';
export { testFolder } from './folder-conformance.js';
export { type SinkUnderTest, testSink } from './sink-conformance.js';
export { type TrainerUnderTest, testTrainer } from './trainer-conformance.js';
