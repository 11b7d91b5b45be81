// The instruction data of the default job: short questions whose answers can be checked, of families that sites differ in.
import { randomStream, shuffle } from '../../../core/random.js';
import type { Sample } from '../sample.js';
import { checkNoneEmpty } from '../split.js';
import { FAMILIES, type Family, OPENINGS } from './families.js';

/** Draws that may find nothing new before a family counts as used up. */
const PATIENCE = 200;
/** The share of a family's samples that goes to the sites that it is not at home at. */
const ABROAD = 0.1;

/** At most `count` samples, of each family its share or as many as it has different prompts; no prompt comes twice. */
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
        // The blank in front makes an answer the very token that it is within a sentence: a vocabulary holds each word once.
        found.set(prompt, { prompt, answer: ` ${answer}`, category: family.name });
        misses = 0;
      }
    }
    samples.push(...found.values());
    left -= found.size;
  }
  return shuffle(samples, randomStream(seed, 'tasks', 'order'));
}

/** Each site mostly with families of its own, and a tenth of the others': data as different sites have it. One site gets all, in order; `bad-data` where a site gets nothing. */
export function splitByFamily(samples: readonly Sample[], sites: readonly string[], seed: number): Map<string, Sample[]> {
  const parts = new Map<string, Sample[]>(sites.map((site) => [site, []]));
  const homes = new Map(FAMILIES.map((family, index) => [family.name, index]));
  const random = randomStream(seed, 'family split');
  for (const sample of samples) {
    const home = homes.get(sample.category ?? '') ?? 0;
    // More sites than families: several sites share a home.
    const hosts = sites.filter((_, index) => index % FAMILIES.length === home % Math.min(sites.length, FAMILIES.length));
    const abroad = random.uniform() < ABROAD;
    const choice = abroad ? sites : hosts;
    parts.get(choice[random.integer(choice.length)] as string)?.push(sample);
  }
  checkNoneEmpty(parts);
  return parts;
}
