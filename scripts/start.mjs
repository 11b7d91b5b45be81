// `npm start`: sets the clone up and runs `fedstream simulate` with the arguments after `--`.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root, setup } from './setup.mjs';

await setup({ onlyCommand: true });
const child = spawn(process.execPath, [join(root, 'bin/fedstream.mjs'), 'simulate', ...process.argv.slice(2)], { stdio: 'inherit' });
// Ctrl-C reaches the child as well (same terminal); this process only waits for it to save its
// state.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => child.kill('SIGTERM'));
child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
