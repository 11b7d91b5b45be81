// The public entry `fedstream/testing`: suites for drivers, folders and sinks of one's own, for any test framework.
export type { RegisterTest } from './checks.js';
export { testDriver } from './driver-conformance.js';
export type { DriverUnderTest } from './driver-pairs.js';
export { testFolder } from './folder-conformance.js';
export { type SinkUnderTest, testSink } from './sink-conformance.js';
