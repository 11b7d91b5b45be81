#!/usr/bin/env node
// The command `fedstream`. In a clone that was not built yet it says how to build it.
import { existsSync } from 'node:fs';

const main = new URL('../dist/bundle/entry/cli.js', import.meta.url);
if (existsSync(main)) {
  const { run } = await import(main.href);
  process.exitCode = await run(process.argv);
} else {
  process.stderr.write('fedstream: not built yet; run `npm start`, `npm test`, or `npm install && npm run build` once in the clone.\n');
  process.exitCode = 1;
}
