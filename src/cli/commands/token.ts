// `fedstream token`: makes tokens, by which sites without certificates prove their names.
import { Command } from 'commander';
import { FedStreamError } from '../../core/errors.js';
import { writeTokens } from '../../node/tls/token-files.js';
import { named, repeated } from '../options.js';

interface TokenOptions {
  readonly site: readonly string[];
  readonly tokens: string;
  readonly out: string;
  readonly replace?: boolean;
}

const HELP = `
Examples:
  $ fedstream token --site hospital-a --site hospital-b       tokens/hospital-a.token, tokens/hospital-b.token and tokens.json
  $ fedstream token --site hospital-c                         one more; the tokens of the others stay as they are
  $ fedstream token --site hospital-a --replace               a new one, where the old one was lost: it is worth nothing from then on

Then, at the server and at each site, inside TLS or behind a reverse proxy that has it:
  $ fedstream server --job job.json --listen ws://127.0.0.1:9000/fed --tokens tokens.json
  $ fedstream client --connect wss://example.org/fed --site hospital-a --token-file hospital-a.token --data patients-qa.jsonl

A token is the only proof of its site's name: take it to the site by a way that you trust, and remove it here. The server needs
tokens.json alone, from which no token can be made. A server reads it when it starts.
`;

/** The subcommand `token`. */
export function tokenCommand(): Command {
  return new Command('token')
    .description('Make tokens, one for each site: by it a site proves its name where it has no certificate.')
    .requiredOption('--site <name>', 'a site, as the job names it; once or several times', (value: string, before?: readonly string[]) =>
      repeated(named(value), before),
    )
    .option('--tokens <file>', "the server's file, made or added to", 'tokens.json')
    .option('--out <folder>', 'where the token of each site is written, as NAME.token', 'tokens')
    .option('--replace', 'make a new token for a site that has one')
    .addHelpText('after', HELP)
    .action(makeTokens);
}

async function makeTokens({ site: sites, tokens, out, replace = false }: TokenOptions): Promise<void> {
  const twice = sites.find((site, at) => sites.indexOf(site) !== at);
  if (twice !== undefined) throw new FedStreamError('bad-argument', `--site ${twice} is given twice; a site has one token`);
  const { verifiers, of } = await writeTokens(out, tokens, sites, { replace });
  for (const site of sites) process.stderr.write(`${of(site)}: for ${site} alone (client --token-file)\n`);
  process.stderr.write(`${verifiers}: for the server (server --tokens)\n`);
}
