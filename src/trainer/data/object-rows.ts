// Finds the samples within one JSON object: a list of them, or lists by column as pandas and
// datasets write them.

/** The rows within an object, or the reason why there are none. */
export type ObjectRows = { readonly rows: readonly unknown[]; readonly name: string } | { readonly why: string };

/** Rows of `{"data": […]}`. */
export function listWithin(object: object): ObjectRows | undefined {
  const lists = Object.entries(object).filter(([, value]) => isListOfObjects(value));
  if (lists.length > 1) {
    const names = lists.map(([name]) => name);
    const command = `jq -c '.${names[0]}[]' FILE > ${names[0]}.jsonl`;
    return { why: `it has several lists (${names.join(', ')}); put one into a file of its own: ${command}` };
  }
  const [list] = lists;
  return list && { rows: list[1] as unknown[], name: list[0] };
}

/** Rows of `{"prompt": […], "answer": […]}` or `{"prompt": {"0": …}, "answer": {"0": …}}`. */
export function columnsWithin(object: object): ObjectRows | undefined {
  const columns = Object.entries(object).map(([name, value]) => [name, columnOf(value)] as const);
  const length = columns[0]?.[1]?.length;
  if (!length || columns.length < 2 || columns.some(([, column]) => column?.length !== length)) return undefined;
  const rows = Array.from({ length }, (_, index) => Object.fromEntries(columns.map(([name, column]) => [name, column?.[index]])));
  return { rows, name: 'row' };
}

function isListOfObjects(value: unknown): boolean {
  return (
    Array.isArray(value) && value.length > 0 && value.every((item) => item !== null && typeof item === 'object' && !Array.isArray(item))
  );
}

/** A column as a list; pandas writes it as an object with the index as its keys. */
function columnOf(value: unknown): readonly unknown[] | undefined {
  if (Array.isArray(value)) return value;
  if (value === null || typeof value !== 'object') return undefined;
  const keys = Object.keys(value);
  return keys.length > 0 && keys.every((key) => /^\d+$/.test(key)) ? Object.values(value) : undefined;
}
