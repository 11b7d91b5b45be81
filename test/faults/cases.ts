// The seeded fault cases of a run of the suite: a hundred and more by default, FEDSTREAM_FAULTS
// times as many if it is set.

/** `FEDSTREAM_FAULTS=50 npx vitest run test/faults` runs fifty times as many. */
const times = Number(process.env.FEDSTREAM_FAULTS ?? 1);

export function seeds(count: number): number[] {
  return Array.from({ length: Math.max(1, Math.round(count * times)) }, (_, i) => i + 1);
}
