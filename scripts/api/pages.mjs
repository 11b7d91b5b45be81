// Makes the pages of docs/api from the exports of each entry of the package.
import { relative } from 'node:path';

/**
 * Returns the text of each page by file name; `entries` are `{ name, about, exports, unlisted }`.
 */
export function apiPages(entries, root) {
  const pages = { 'README.md': indexPage(entries) };
  for (const entry of entries) pages[pageName(entry.name)] = entryPage(entry, root);
  return pages;
}

const pageName = (name) => `${name.replaceAll('/', '-')}.md`;

function indexPage(entries) {
  const rows = entries.map(({ name, about, exports }) => {
    const names = exports.map(({ as }) => `\`${as}\``).join(', ');
    return `| [\`${name}\`](${pageName(name)}) | ${about} | ${names} |`;
  });
  return `# API

The exports of each entry of the package. \`node scripts/api.mjs\` makes these pages from the
declarations and their docstrings; \`npm run check\` fails where they are not current.

| entry | for | names |
|---|---|---|
${rows.join('\n')}
`;
}

function entryPage({ name, about, exports, unlisted }, root) {
  const parts = exports.map(
    ({ as, doc, texts }) => `## ${as}\n${wrapped(doc)}\n\n\`\`\`ts\n${texts.map((text) => signature(text)).join('\n')}\n\`\`\`\n`,
  );
  const rest =
    unlisted.length === 0
      ? ''
      : `\n## Named above, but not exported\n${unlisted.map((found) => `- \`${found.name}\` (\`${sourceOf(found.file, root)}\`)`).join('\n')}\n`;
  return `# ${name}\n${wrapped(about)}\n\n${parts.join('\n')}${rest}`;
}

const sourceOf = (file, root) =>
  relative(root, file)
    .replaceAll('\\', '/')
    .replace(/^dist\//, 'src/')
    .replace(/\.d\.ts$/, '.ts');

const WIDTH = 100;

/** Wraps prose at 100 characters; an empty line, a list item or indented text begins a new line. */
function wrapped(text) {
  const lines = [];
  for (const line of text.split('\n')) {
    const joins = lines.length > 0 && lines.at(-1) !== '' && line !== '' && !/^(?:[-*|`]|\d+\.|\s)/.test(line);
    for (const [i, word] of line.split(' ').entries()) {
      const goesOn = i > 0 || joins;
      if (goesOn && `${lines.at(-1)} ${word}`.length <= WIDTH) lines[lines.length - 1] += ` ${word}`;
      else lines.push(word);
    }
  }
  return lines.join('\n');
}

/** The text of a declaration without modifiers and private members, which tell a reader nothing. */
function signature(text) {
  return text
    .replace(/^export\s+/, '')
    .replace(/^declare\s+/, '')
    .split('\n')
    .filter((line) => !/^\s+(#private;|private\b)/.test(line))
    .map((line) => line.replace(/^(?: {4})+/, (spaces) => ' '.repeat(spaces.length / 2)))
    .join('\n');
}
