// The command line: one program, with a file for each subcommand.

import { Command } from 'commander';
import { RELEASE } from '../core/release.js';
import { benchCommand } from './commands/bench.js';
import { clientCommand } from './commands/client.js';
import { compareCommand } from './commands/compare.js';
import { inspectCommand } from './commands/inspect.js';
import { dequantizeCommand, quantizeCommand } from './commands/quantize.js';
import { relayCommand } from './commands/relay.js';
import { serverCommand } from './commands/server.js';
import { simulateCommand } from './commands/simulate.js';
import { tokenCommand } from './commands/token.js';
import { trainCommand } from './commands/train.js';
import { EXIT, reportFailure } from './exit-code.js';
import { say } from './say.js';

const HELP = `
Examples:
  $ fedstream simulate                             three sites on this machine, updates of 4 bits
  $ fedstream simulate --data my-data.jsonl        the same on your own instruction data
  $ fedstream simulate --job job.json --codec fp32
  $ fedstream server --job job.json --listen tcps://0.0.0.0:9000 --tls-cert server.crt --tls-key server.key --tls-ca ca.crt
  $ fedstream client --connect tcps://server:9000 --tls-ca ca.crt --tls-cert a.crt --tls-key a.key --site a --data a.jsonl
  $ fedstream token --site a --site b              tokens for sites without certificates
  $ fedstream inspect runs/latest

Exit codes: 0 done, 1 the work failed, 2 the input cannot be used, 130 stopped (what was finished is kept).
`;

/** Every command with its options; nothing is done before it parses something. */
export function commandLine(): Command {
  const program = new Command('fedstream')
    .description('Federated learning for large language models: messages quantized and streamed, in bounded memory.')
    .version(RELEASE)
    .showHelpAfterError('(add --help for the options and examples)')
    .addHelpText('after', HELP);
  const commands = [
    simulateCommand,
    serverCommand,
    clientCommand,
    relayCommand,
    tokenCommand,
    trainCommand,
    inspectCommand,
    quantizeCommand,
    dequantizeCommand,
    compareCommand,
    benchCommand,
  ];
  for (const command of commands) program.addCommand(command());
  for (const command of [program, ...program.commands])
    command.exitOverride().showHelpAfterError('(add --help for the options and examples)');
  return program;
}

/**
 * Runs the command line; returns the exit code. Output for programs goes to standard output,
 * everything else to standard error.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const program = commandLine();
  // A reader of our output may stop reading (`| head`), which is no failure of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  try {
    await program.parseAsync([...argv]);
    return EXIT.ok;
  } catch (error) {
    return reportFailure(error, say);
  }
}
