// How many seeded cases of bad luck a run of the suite tries: a hundred and more by default, thousands where FEDSTREAM_FAULTS says so.

/** `FEDSTREAM_FAULTS=50 npx vitest run test/faults` tries fifty times as many. */
const times = Number(process.env.FEDSTREAM_FAULTS ?? 1);

export function seeds(count: number): number[] {
  return Array.from({ length: Math.max(1, Math.round(count * times)) }, (_, i) => i + 1);
}
