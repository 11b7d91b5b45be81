// A process that does a step for each line it gets.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Starts `program`; `ask(line)` resolves with its answer, `hello` with its first line. */
export async function startChild(program, args) {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${program} ${args[0]} ended with ${code}`)));
  });
  ended.catch(() => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { done, value } = await Promise.race([lines.next(), ended]);
    // The end of its output comes before its end, which says why.
    return done ? ended : JSON.parse(value);
  };
  const hello = await next();
  return {
    hello,
    ask(line) {
      child.stdin.write(`${line}\n`);
      return next();
    },
    close: () => child.stdin.end(),
  };
}
