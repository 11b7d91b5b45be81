// Tokens of a server that was given no credentials of its sites: it makes them in its run folder,
// and says how the sites join with them.
import { dirname, relative } from 'node:path';
import { readTokenVerifiers, runTokenFiles, type TokenVerifiers, writeTokens } from '../node/tls/token-files.js';

/** Sites of which the whole command is printed; the others are alike. */
const SHOWN = 3;

/** Makes a token for each site in the run's folder; returns what the server keeps of them. */
export async function makeRunTokens(runPath: string, sites: readonly string[]): Promise<TokenVerifiers> {
  const { verifiers } = runTokenFiles(runPath);
  await writeTokens(dirname(verifiers), verifiers, sites);
  return readTokenVerifiers(verifiers);
}

/** The commands with which sites join over this URL. */
export function joinLines(url: string, runPath: string, sites: readonly string[]): string[] {
  const { of } = runTokenFiles(runPath);
  const lines = sites
    .slice(0, SHOWN)
    .map(
      (site) =>
        `${site} joins with: npx fedstream client --connect ${url} --site ${site} --token-file ${relative('', of(site))} --data FILE`,
    );
  const more = sites.length - lines.length;
  return more > 0 ? [...lines, `${more} more sites join alike; their tokens are in ${relative('', dirname(of('')))}`] : lines;
}
