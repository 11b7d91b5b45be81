// Reads the tables of a page, for tests that compare the page with the code.

/** The cells of the first table after `heading`, without its head. */
export function rowsUnder(text: string, heading: string): string[][] {
  const at = text.indexOf(heading);
  if (at < 0) throw new Error(`the page has no ${JSON.stringify(heading)}`);
  const lines = text.slice(at).split('\n');
  const first = lines.findIndex((line) => line.startsWith('|---'));
  const rows = lines.slice(first + 1);
  const end = rows.findIndex((line) => !line.startsWith('|'));
  return rows.slice(0, end < 0 ? undefined : end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}
