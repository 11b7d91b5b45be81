// Preloaded by check.test.ts: a sender that has read the model a second time at its end, as a
// careless change would make it.
import { openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';

if (process.argv[1]?.endsWith('transfer-sender.js')) {
  const { folder } = JSON.parse(process.argv.at(-1));
  process.prependOnceListener('exit', () => {
    const [name] = readdirSync(folder).filter((one) => one.endsWith('.safetensors'));
    const file = openSync(join(folder, name));
    const into = new Uint8Array(2 ** 20);
    while (readSync(file, into) > 0);
  });
}
