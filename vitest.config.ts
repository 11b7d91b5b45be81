// Two projects that share out the suite: `fast`, for working (`npm run test:fast`), and `slow`. `npm test` runs both,
// but for the longest files, which `npm run test:full` adds.
import { defineConfig } from 'vitest/config';

/** No processes of a federation, no browsers, no Python, no sockets: together under a minute on two cores. */
const FAST = [
  'src/**/*.test.ts',
  'test/layers.test.ts',
  'test/docs/**/*.test.ts',
  'test/golden/**/*.test.ts',
  'test/hub/hub.test.ts',
  'test/conformance/folder.test.ts',
  'test/field/guide.test.ts',
];

/** Units all the same, but of many bytes over sockets, or of very many cases. */
const SLOW_UNITS = [
  'src/node/drivers/**/*.test.ts',
  'src/driver/frame-splitter.test.ts',
  'src/codec/coded-file.test.ts',
  'src/stream/narrowing.test.ts',
];

/**
 * Files that take from half a minute to several: processes for each mistake and each scheme, real
 * torch, browsers, proxies, packages, benchmarks. They run in CI and with `npm run test:full`, so that
 * `npm test` ends within minutes; each subject has others that do run there.
 */
const FULL_ONLY = [
  'test/bench/evidence.test.ts',
  'test/bench/readme.test.ts',
  'test/browser/browser.test.ts',
  'test/cli/bench.test.ts',
  'test/cli/model-tools.test.ts',
  'test/cli/network-bench.test.ts',
  'test/codecs/pool.test.ts',
  'test/conformance/aggregator.test.ts',
  'test/conformance/codec.test.ts',
  'test/conformance/driver-plain-reads.test.ts',
  'test/conformance/driver.test.ts',
  'test/conformance/workflow.test.ts',
  'test/e2e/drivers.test.ts',
  'test/e2e/faults.test.ts',
  'test/e2e/guide.test.ts',
  'test/e2e/kit.test.ts',
  'test/e2e/main-job.test.ts',
  'test/e2e/outage.test.ts',
  'test/e2e/own-trainer.test.ts',
  'test/e2e/swarm.test.ts',
  'test/faults/federation.test.ts',
  'test/faults/hostile.test.ts',
  'test/faults/relays.test.ts',
  'test/federation/fed-buff-crashes.test.ts',
  'test/federation/gather.test.ts',
  'test/federation/swarm-faults.test.ts',
  'test/hostile/identity.test.ts',
  'test/hostile/insider-reports.test.ts',
  'test/hostile/listeners.test.ts',
  'test/hostile/server.test.ts',
  'test/hostile/site.test.ts',
  'test/interop/bitsandbytes.test.ts',
  'test/kernels/reduce.test.ts',
  'test/package/package.test.ts',
  'test/proxy/nginx.test.ts',
  'test/python/hf.test.ts',
  'test/python/lora.test.ts',
  'test/python/package.test.ts',
  'test/wire/transfer.test.ts',
];
const LEFT_OUT = process.env.FEDSTREAM_SUITE === 'full' ? [] : FULL_ONLY;

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      { extends: true, test: { name: 'fast', include: FAST, exclude: SLOW_UNITS } },
      {
        extends: true,
        test: {
          name: 'slow',
          include: ['test/**/*.test.ts', ...SLOW_UNITS],
          exclude: [...FAST.filter((glob) => !glob.startsWith('src/')), ...LEFT_OUT],
        },
      },
    ],
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
