// The suite of drivers with as many connections as CI or a waiting person has time for.
import { test } from 'vitest';
import { testDriver } from '../../src/testing/driver-conformance.js';
import type { DriverUnderTest } from '../../src/testing/driver-pairs.js';
import { IS_FULL } from '../breadth.js';

const FEW_CONNECTS = 100;

/** Registers the suite for a driver. */
export function tryDriver(name: string, subject: DriverUnderTest): void {
  // Properties of the subject may be getters, which a copy would read once.
  const some = Object.create(subject, { connects: { value: Math.min(FEW_CONNECTS, subject.connects ?? FEW_CONNECTS) } });
  testDriver(name, IS_FULL ? subject : (some as DriverUnderTest), test);
}
