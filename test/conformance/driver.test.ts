// Every driver passes the same suite.
import { test } from 'vitest';
import { memory } from '../../src/driver/memory.js';
import { tcp } from '../../src/node/tcp.js';
import { testDriver } from '../../src/testing/driver-conformance.js';

testDriver('memory', { make: memory, listenUrl: 'memory://suite', deadUrl: 'memory://nobody' }, test);
testDriver('tcp', { make: tcp, listenUrl: 'tcp://127.0.0.1:0', deadUrl: 'tcp://127.0.0.1:1' }, test);
