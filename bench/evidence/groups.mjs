// Groups and orders the rows of the evidence page.

/** Rows by key, in the order of the first row of each. */
export function groupBy(rows, keyOf) {
  const groups = new Map();
  for (const row of rows) groups.set(keyOf(row), [...(groups.get(keyOf(row)) ?? []), row]);
  return groups;
}

/** Names of the arms of some rows, in the order of the study. */
export const armsOf = (rows, order) => inOrder([...new Set(rows.map(({ arm }) => arm))], order, (arm) => arm);
/** Sorted by the place of the arm in `order`. */
export const inOrder = (all, order, armOf = ({ arm }) => arm) => [...all].sort((a, b) => order.indexOf(armOf(a)) - order.indexOf(armOf(b)));

/** Markdown of a plot. */
export const image = (name, words) => `![${words}](images/${name})`;
