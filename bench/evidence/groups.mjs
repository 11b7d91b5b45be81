// How the sections of the evidence page take their rows apart.

export function groupBy(rows, keyOf) {
  const groups = new Map();
  for (const row of rows) groups.set(keyOf(row), [...(groups.get(keyOf(row)) ?? []), row]);
  return groups;
}

/** The names of the arms that rows have, in the order of the study. */
export const armsOf = (rows, order) => inOrder([...new Set(rows.map(({ arm }) => arm))], order, (arm) => arm);
export const inOrder = (all, order, armOf = ({ arm }) => arm) => [...all].sort((a, b) => order.indexOf(armOf(a)) - order.indexOf(armOf(b)));

export const image = (name, words) => `![${words}](images/${name})`;
