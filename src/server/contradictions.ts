// Finds where sites tell different things of what they train, and says it in words.
import { listed } from '../core/listed.js';
import type { Fingerprints } from '../trainer/fingerprints.js';

/** The rules of a job for differences, by the name of a fingerprint or the part before a dot. */
export type DifferenceRules = Readonly<Record<string, 'refuse' | 'warn'>>;

/** A fingerprint that has several values, and who told each. */
export interface Contradiction {
  readonly name: string;
  /** Who told which value, the first value first. */
  readonly values: ReadonlyMap<string, readonly string[]>;
}

/** Names and parties that a message lists; many sites may differ in much. */
const MOST_NAMES = 5;
const MOST_PARTIES = 5;

/** What `party` contradicts of what the others told: for each name that both tell, in order of names. */
export function contradictions(party: string, told: Fingerprints, others: Iterable<readonly [string, Fingerprints]>): Contradiction[] {
  const found = new Map<string, Map<string, string[]>>();
  for (const [other, theirs] of others) {
    for (const [name, mine] of Object.entries(told)) {
      const value = Object.hasOwn(theirs, name) ? theirs[name] : undefined;
      if (value === undefined || value === mine) continue;
      const values = found.get(name) ?? new Map<string, string[]>();
      found.set(name, values);
      values.set(value, [...(values.get(value) ?? []), other]);
    }
  }
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, values]) => ({ name, values: new Map([...values, [told[name] as string, [party]]]) }));
}

/** The rule for a name: its own, or that of the longest part before a dot; `refuse` without any. */
export function ruleFor(name: string, rules: DifferenceRules): 'refuse' | 'warn' {
  for (let part = name; part !== ''; part = part.slice(0, Math.max(part.lastIndexOf('.'), 0)))
    if (Object.hasOwn(rules, part)) return rules[part] as 'refuse' | 'warn';
  return 'refuse';
}

/** `adapter.r is "8" at site-1 and "16" at site-2; tokenizer is …`. */
export function inWords(found: readonly Contradiction[]): string {
  const named = found.slice(0, MOST_NAMES).map(({ name, values }) => {
    const groups = [...values]
      .slice(0, MOST_PARTIES)
      .map(([value, parties]) => `${JSON.stringify(value)} at ${listed(parties, MOST_PARTIES)}`);
    return `${name} is ${groups.join(' and ')}`;
  });
  return [...named, ...(found.length > named.length ? [`${found.length - named.length} more names differ`] : [])].join('; ');
}
