// Writes docs/dependencies.md from package-lock.json: what is installed with the package, and under which licences. With --check it fails
// if the page is not current, or if a licence or an install script comes in that nobody has agreed to.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const PAGE = 'docs/dependencies.md';

/** Licences that allow use in a product of any licence, without more than a notice. */
const ALLOWED = ['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'BlueOak-1.0.0', 'ISC', 'MIT'];
/** Those that are fine for tools, which are not handed on. */
const ALLOWED_FOR_TOOLS = [...ALLOWED, 'MPL-2.0'];
/** Packages with an install script, and why nothing is lost when it does not run. */
const SCRIPTS = {
  bufferutil: 'compiles where no prebuilt binary fits; without it `ws` masks in JavaScript',
  protobufjs: 'prints a notice; development only',
};

/** True for an entry of the lock file that only building and testing need. */
export const isTool = ({ dev = false, devOptional = false }) => dev || devOptional;

/** The packages of the lock file: name, version, licence, and the way in which each is needed. */
export function packagesOf(lock) {
  return Object.entries(lock.packages)
    .filter(([path]) => path !== '')
    .map(([path, entry]) => ({ path, ...entry }))
    .map(({ path, version, license, optional = false, hasInstallScript = false, ...entry }) => ({
      name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version,
      license,
      need: isTool(entry) ? 'tool' : optional ? 'optional' : 'always',
      hasInstallScript,
    }));
}

/** What is wrong with them, in lines for a person. */
export function faultsOf(packages) {
  return packages.flatMap(({ name, license, need, hasInstallScript }) => {
    const allowed = need === 'tool' ? ALLOWED_FOR_TOOLS : ALLOWED;
    const isAllowed = license
      ?.replace(/^\(|\)$/g, '')
      .split(' OR ')
      .some((one) => allowed.includes(one));
    return [
      ...(isAllowed
        ? []
        : [`${name} has the licence ${license ?? 'of nobody knows which kind'}; scripts/dependencies.mjs lists those that may come in`]),
      ...(hasInstallScript && !SCRIPTS[name]
        ? [`${name} has an install script; set-up runs none, so say in scripts/dependencies.mjs why none is needed`]
        : []),
    ];
  });
}

function page(lock, { dependencies, optionalDependencies }) {
  const packages = packagesOf(lock);
  const installed = packages.filter(({ need }) => need !== 'tool');
  const own = { ...dependencies, ...optionalDependencies };
  const rows = installed
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(
      ({ name, version, license, need }) =>
        `| \`${name}\` | ${version} | ${license} | ${need} | ${own[name] ? 'this package' : 'another one'} |`,
    );
  const tools = new Map();
  for (const { license, need } of packages) if (need === 'tool') tools.set(license, (tools.get(license) ?? 0) + 1);
  const counts = [...tools].sort().map(([license, count]) => `${license} ${count}`);
  return `# Dependencies
Made by \`node scripts/dependencies.mjs\` from \`package-lock.json\`; \`npm run check\` fails if it is not
current.

## Installed with the package
Needed by this package itself, or by another one of the table. Optional packages are left out with
\`npm install --omit=optional\`: TLS for simulations, WebSockets under Node.

| package | version | licence | installed | needed by |
| --- | --- | --- | --- | --- |
${rows.join('\n')}

Allowed are ${ALLOWED.slice(0, -1).join(', ')} and ${ALLOWED.at(-1)}.

## Tools
For building and testing, and not handed on, by licence: ${counts.join(', ')}.

## Install scripts
Set-up (\`npm start\`, \`npm test\`) installs with \`--ignore-scripts\`: no package runs a program of its
own while it is installed. These have one, and lose nothing:

${Object.entries(SCRIPTS)
  .map(([name, why]) => `- \`${name}\`: ${why}.`)
  .join('\n')}
`;
}

function main() {
  const read = (name) => JSON.parse(readFileSync(join(root, name), 'utf8'));
  const lock = read('package-lock.json');
  const text = page(lock, read('package.json'));
  const faults = faultsOf(packagesOf(lock));
  if (!process.argv.includes('--check')) writeFileSync(join(root, PAGE), text);
  else if (readFileSync(join(root, PAGE), 'utf8') !== text) faults.push(`${PAGE} is not current: run node scripts/dependencies.mjs`);
  for (const fault of faults) process.stderr.write(`${fault}\n`);
  process.exitCode = faults.length > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
