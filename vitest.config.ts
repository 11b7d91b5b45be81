// Two projects that share out the suite: `fast`, for working (`npm run test:fast`), and `slow`. `npm test` runs both.
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

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      { extends: true, test: { name: 'fast', include: FAST, exclude: SLOW_UNITS } },
      {
        extends: true,
        test: { name: 'slow', include: ['test/**/*.test.ts', ...SLOW_UNITS], exclude: FAST.filter((glob) => !glob.startsWith('src/')) },
      },
    ],
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
