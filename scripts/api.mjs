// Writes docs/api: the exports of the package. With --check it fails if a page is not current.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Declarations } from './api/declarations.mjs';
import { apiPages } from './api/pages.mjs';
import { build } from './build.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Returns the entries of a package folder: name, purpose, exports, and the declarations that these
 * name without exporting them.
 */
export function entriesOf(folder) {
  const { name, exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const declarations = new Declarations();
  const entries = Object.entries(exports)
    .filter(([, target]) => target.types !== undefined)
    .map(([path, { types }]) => ({ name: name + path.slice(1), types: join(folder, types) }))
    .map(({ name, types }) => ({ name, about: aboutOf(types), exports: declarations.exportsOf(types) }));
  const known = new Set(entries.flatMap(({ exports }) => exports.map(keyOf)));
  return entries.map((entry) => ({ ...entry, unlisted: unlistedOf(declarations, entry.exports, known) }));
}

const keyOf = ({ file, name }) => `${file}#${name}`;

function unlistedOf(declarations, exports, known) {
  const found = new Map(exports.flatMap((one) => declarations.namedBy(one)).map((one) => [keyOf(one), one]));
  return [...found.values()].filter((one) => !known.has(keyOf(one))).sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

/** The purpose of an entry: the first line of its source, after its name. */
function aboutOf(types) {
  const source = types.replace(/([\\/])dist([\\/])/, '$1src$2').replace(/\.d\.ts$/, '.ts');
  const [, about = ''] = /^\/\/ .*?`: (.*)$/m.exec(readFileSync(source, 'utf8').split('\n')[0]) ?? [];
  return about && about[0].toUpperCase() + about.slice(1);
}

/** The faults of the API, in lines for a person. */
export function faultsOf(entries) {
  return entries.flatMap(({ name, about, exports }) => [
    ...(about === '' ? [`${name}: the first line of its source does not say what it is for`] : []),
    ...exports.filter(({ doc }) => doc === '').map(({ as }) => `${name}: ${as} has no docstring`),
  ]);
}

async function main() {
  const isCheck = process.argv.includes('--check');
  if (!isCheck) await build();
  const entries = entriesOf(root);
  const faults = faultsOf(entries);
  const folder = join(root, 'docs/api');
  const pages = apiPages(entries, root);
  if (!isCheck) mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(pages)) {
    const path = join(folder, name);
    if (!isCheck) writeFileSync(path, text);
    else if (!existsSync(path) || readFileSync(path, 'utf8') !== text)
      faults.push(`docs/api/${name} is not current: run node scripts/api.mjs`);
  }
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    if (name in pages) continue;
    if (isCheck) faults.push(`docs/api/${name} is a page of no entry: run node scripts/api.mjs`);
    else rmSync(join(folder, name));
  }
  for (const fault of faults) process.stderr.write(`api: ${fault}\n`);
  process.exitCode = faults.length > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
