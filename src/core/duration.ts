// Durations as people write them: `90s`, `10m`, `2h`, `forever`.

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 };
/** For messages, the largest first. */
const NAMES: readonly (readonly [name: string, ms: number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
];

/** The word for a duration without an end. */
const FOREVER = 'forever';
/** The examples of a message about a duration that cannot be read. */
export const DURATIONS = '30s, 10m, 2h, 1d or forever';

/**
 * The milliseconds of a duration: a number with a unit (ms, s, m or min, h, d), a bare number of
 * seconds, or `forever`, which is `Infinity`. Undefined for anything else.
 */
export function parseDuration(text: string): number | undefined {
  const word = text.trim().toLowerCase();
  if (word === FOREVER) return Number.POSITIVE_INFINITY;
  const [, digits = '', unit = 's'] = /^(\d{1,9}(?:\.\d{1,3})?) ?([a-z]+)?$/.exec(word) ?? [];
  const ms = digits === '' || !Object.hasOwn(UNITS_MS, unit) ? Number.NaN : Number(digits) * (UNITS_MS[unit] as number);
  return Number.isNaN(ms) ? undefined : ms;
}

/** A duration in ms in words, rounded: `45 s`, `10 min`, `2.5 h`; under a second, `0.2 s`. */
export function durationText(ms: number): string {
  if (ms === Number.POSITIVE_INFINITY) return FOREVER;
  const [name, size] = NAMES.find(([, size]) => ms >= size) ?? ['s', 1000];
  return `${Number((ms / size).toFixed(1))} ${name}`;
}
