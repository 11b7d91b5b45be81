// Counts what a process does to files, sockets and memory: preloaded with `node --import`, it works
// on every system, and leaves one JSON file at the process's end. Threads count into the same place.
import { Buffer } from 'node:buffer';
import { subscribe } from 'node:diagnostics_channel';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';
import { processBytes } from './process-bytes.mjs';

const COUNTERS = ['reads', 'readBytes', 'writes', 'writtenBytes', 'syncs', 'renames', 'copiedBytes'];
/** Smaller pieces are headers, locks and lines of logs, whose number depends on the clock. */
const LEAST_BYTES = 4096;
const KEY = 'fedstream bench check';

if (isMainThread) setEnvironmentData(KEY, new SharedArrayBuffer(8 * COUNTERS.length));
const counts = new BigInt64Array(getEnvironmentData(KEY));
const add = (name, count) => void Atomics.add(counts, COUNTERS.indexOf(name), BigInt(count));

const { writeFileSync, readFileSync } = fs;
/** Replaces a function by one that calls `before` and then the first; what hangs on it is kept. */
function wrap(of, name, before) {
  const first = of[name];
  const wrapped = function (...args) {
    return before.call(this, first, args);
  };
  of[name] = Object.defineProperties(wrapped, Object.getOwnPropertyDescriptors(first));
}

/** Counts the result of a call, or what its callback is told. */
function counted(calls, bytes) {
  const note = (count) => {
    if (count < LEAST_BYTES) return;
    add(calls, 1);
    add(bytes, count);
  };
  return {
    sync(first, args) {
      const count = Reflect.apply(first, this, args);
      note(count);
      return count;
    },
    later(first, args) {
      const done = args.at(-1);
      const told = (error, count, ...more) => {
        if (!error) note(count);
        done(error, count, ...more);
      };
      return Reflect.apply(first, this, [...args.slice(0, -1), told]);
    },
  };
}

const files = { read: counted('reads', 'readBytes'), write: counted('writes', 'writtenBytes') };
for (const kind of ['read', 'write'])
  for (const name of [kind, `${kind}v`]) {
    wrap(fs, name, files[kind].later);
    wrap(fs, `${name}Sync`, files[kind].sync);
  }
const CALLS = { syncs: ['fsync', 'fdatasync'], renames: ['rename'] };
for (const [counter, names] of Object.entries(CALLS))
  for (const name of names.flatMap((one) => [one, `${one}Sync`]))
    wrap(fs, name, function (first, args) {
      add(counter, 1);
      return Reflect.apply(first, this, args);
    });
syncBuiltinESMExports();

const copied = (bytesOf) =>
  function (first, args) {
    const result = Reflect.apply(first, this, args);
    const bytes = bytesOf(this, args, result);
    if (bytes >= LEAST_BYTES) add('copiedBytes', bytes);
    return result;
  };
const typed = Object.getPrototypeOf(Uint8Array.prototype);
wrap(
  typed,
  'set',
  copied((_, [from]) => from?.byteLength ?? 0),
);
wrap(
  typed,
  'slice',
  copied((_, __, result) => result.byteLength),
);
wrap(
  Buffer.prototype,
  'copy',
  copied((_, __, bytes) => bytes),
);
wrap(
  Buffer,
  'concat',
  copied((_, __, result) => result.byteLength),
);

if (isMainThread) {
  const sockets = new Set();
  for (const side of ['client', 'server']) subscribe(`net.${side}.socket`, ({ socket }) => void sockets.add(socket));
  process.once('exit', () => {
    const report = Object.fromEntries(COUNTERS.map((name, index) => [name, Number(counts[index])]));
    const all = [...sockets];
    report.receivedBytes = all.reduce((sum, { bytesRead }) => sum + bytesRead, 0);
    report.sentBytes = all.reduce((sum, { bytesWritten }) => sum + (bytesWritten ?? 0), 0);
    Object.assign(report, ofSystem());
    const file = join(process.env.FEDSTREAM_COUNTS, `${process.pid}.json`);
    writeFileSync(file, JSON.stringify({ command: process.argv.slice(1), ...report }));
  });
}

/** What the system counted for the whole process, so that nothing passes beside the counters above. */
function ofSystem() {
  const bytes = processBytes();
  if (!bytes) return { peakBytes: process.resourceUsage().maxRSS * 1024 };
  const [, kib] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'));
  return { systemReadBytes: bytes.readBytes, systemWrittenBytes: bytes.writtenBytes, peakBytes: Number(kib) * 1024 };
}
