// Generates the instruction data of the default job: short questions whose answers can be checked.
import { randomStream, shuffle } from '../../../core/random.js';
import type { Sample } from '../sample.js';
import { checkNoneEmpty } from '../split.js';
import { FAMILIES, type Family, OPENINGS } from './families.js';

/** Draws without a new question after which a family counts as used up. */
const PATIENCE = 200;
/** The share of a family's samples that goes to the sites that do not own it. */
const ABROAD = 0.1;

/**
 * At most `count` samples: of each family its share, or as many as it has different prompts. No
 * prompt comes twice.
 */
export function generateTasks(seed: number, count: number): Sample[] {
  const samples: Sample[] = [];
  const shareOf = ({ share = 1 }: Family): number => share;
  let left = count;
  let shares = FAMILIES.reduce((sum, family) => sum + shareOf(family), 0);
  for (const family of FAMILIES) {
    const random = randomStream(seed, 'tasks', family.name);
    const wanted = Math.ceil((left * shareOf(family)) / shares);
    shares -= shareOf(family);
    const found = new Map<string, Sample>();
    for (let misses = 0; found.size < wanted && misses < PATIENCE; ) {
      const { phrasings, answer } = family.draw(random);
      const prompt = `${OPENINGS[random.integer(OPENINGS.length)]}${phrasings[random.integer(phrasings.length)]}`;
      if (found.has(prompt)) misses++;
      else {
        // The blank in front gives an answer the token that it has within a sentence.
        found.set(prompt, { prompt, answer: ` ${answer}`, category: family.name });
        misses = 0;
      }
    }
    samples.push(...found.values());
    left -= found.size;
  }
  return shuffle(samples, randomStream(seed, 'tasks', 'order'));
}

/**
 * Samples by site: each site gets mostly families of its own, and a tenth of those of the others. A
 * single site gets all, in order. Throws `bad-data` if a site would get nothing.
 */
export function splitByFamily(samples: readonly Sample[], sites: readonly string[], seed: number): Map<string, Sample[]> {
  const parts = new Map<string, Sample[]>(sites.map((site) => [site, []]));
  const homes = new Map(FAMILIES.map((family, index) => [family.name, index]));
  const random = randomStream(seed, 'family split');
  for (const sample of samples) {
    const home = homes.get(sample.category ?? '') ?? 0;
    // With more sites than families, several sites own the same family.
    const hosts = sites.filter((_, index) => index % FAMILIES.length === home % Math.min(sites.length, FAMILIES.length));
    const abroad = random.uniform() < ABROAD;
    const choice = abroad ? sites : hosts;
    parts.get(choice[random.integer(choice.length)] as string)?.push(sample);
  }
  checkNoneEmpty(parts);
  return parts;
}
