// The page docs/guide/bring-your-own.md, made of the tables.
import { outcomeOf, type Situation } from './situation.js';
import { TABLES } from './tables.js';

const INTRO = `<!-- made by node scripts/field.mjs from test/field -->
# Bring your own models, data and scripts

Each row is a situation that the suite runs (\`test/field\`). *works* gives the right result, *warned*
works and says something about it, *refused* ends with one error before any training, which says
what to do.
`;

const WIDTH = 100;

/** Prose in lines of at most 100 characters. */
function wrapped(text: string): string {
  const lines: string[] = [''];
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1) as string;
    if (line.length + 1 + word.length > WIDTH) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.join('\n');
}

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

function rowOf(row: Situation<unknown>): string {
  return `| ${cell(row.name)} | ${outcomeOf(row)} | ${cell(row.advice)} | ${cell(row.from)} |`;
}

/** The page as it must be. */
export function guidePage(): string {
  const sections = TABLES.map(({ title, intro, rows }) =>
    [
      `\n## ${title}`,
      wrapped(intro),
      '',
      '| what you bring | | what comes of it | known from |',
      '| --- | --- | --- | --- |',
      ...rows.map(rowOf),
      '',
    ].join('\n'),
  );
  return `${INTRO}${sections.join('')}`;
}
