// The families of generated tasks: each draws questions, phrases them and checks answers.
import type { Random } from '../../../core/random.js';
import type { Sample } from '../sample.js';
import { CAPITALS, COLOURS, DAYS, KINDS, MONTHS, NUMBER_NAMES, OPPOSITES, WORDS, YOUNG } from './facts.js';

/** A question without its phrasing, and its one right answer. */
export interface Question {
  readonly phrasings: readonly string[];
  readonly answer: string;
}

/** A family of tasks. */
export interface Family {
  readonly name: string;
  /**
   * Its share of the samples, relative to other families; 1 if missing. Tasks that cannot be learnt
   * by heart take more.
   */
  readonly share?: number;
  /** Draws a question; the same one may come again. */
  draw(random: Random): Question;
}

const pick = <T>(items: readonly T[], random: Random): T => items[random.integer(items.length)] as T;

/** A family that asks for the values of a table. */
function lookUp(name: string, table: Readonly<Record<string, string>>, phrase: (key: string) => readonly string[]): Family {
  const keys = Object.keys(table);
  return {
    name,
    draw(random) {
      const key = pick(keys, random);
      return { phrasings: phrase(key), answer: table[key] as string };
    },
  };
}

/** A family that asks for neighbours in a circle: days or months. */
function neighbours(name: string, circle: readonly string[], unit: string): Family {
  return {
    name,
    draw(random) {
      const at = random.integer(circle.length);
      const after = random.integer(2) === 0;
      const answer = circle[(at + (after ? 1 : circle.length - 1)) % circle.length] as string;
      const word = after ? 'after' : 'before';
      return {
        phrasings: [
          `Which ${unit} comes ${word} ${circle[at]}?`,
          `Name the ${unit} ${word} ${circle[at]}.`,
          `What is ${word} ${circle[at]}?`,
        ],
        answer,
      };
    },
  };
}

const LARGEST = 20;

const larger: Family = {
  name: 'larger number',
  share: 2,
  draw(random) {
    const a = 1 + random.integer(LARGEST);
    const b = 1 + ((a + random.integer(LARGEST - 1)) % LARGEST); // any but a
    return {
      phrasings: [`Which is larger, ${a} or ${b}?`, `Name the larger of ${a} and ${b}.`, `What is more, ${a} or ${b}?`],
      answer: String(Math.max(a, b)),
    };
  },
};

const sums: Family = {
  name: 'small sums',
  draw(random) {
    const a = random.integer(10);
    const b = random.integer(10);
    return { phrasings: [`What is ${a} plus ${b}?`, `Add ${a} and ${b}.`, `How much is ${a} + ${b}?`], answer: String(a + b) };
  },
};

const words: Family = {
  name: 'word in a list',
  share: 3,
  draw(random) {
    const list = Array.from({ length: 3 }, () => pick(WORDS, random));
    const first = random.integer(2) === 0;
    const which = first ? 'first' : 'last';
    const text = list.join(' ');
    return {
      phrasings: [`Give the ${which} word: ${text}`, `The ${which} word of: ${text}`, `Only the ${which} of: ${text}`],
      answer: (first ? list[0] : list[2]) as string,
    };
  },
};

const counting: Family = {
  name: 'counting',
  draw(random) {
    const count = 1 + random.integer(5);
    const list = Array.from({ length: count }, () => pick(WORDS, random)).join(' ');
    return {
      phrasings: [`How many words: ${list}`, `Count the words: ${list}`, `How many here: ${list}`],
      answer: NUMBER_NAMES[count] as string,
    };
  },
};

/** A thing with its article. */
function one(thing: string): string {
  return `${/^[aeiou]/.test(thing) ? 'an' : 'a'} ${thing}`;
}

/**
 * Eleven families; of three sites, each has three or four of its own. Questions are short, so that
 * a step takes little time.
 */
export const FAMILIES: readonly Family[] = [
  lookUp('capitals', CAPITALS, (key) => [
    `What is the capital of ${key}?`,
    `Name the capital of ${key}.`,
    `Which city is the capital of ${key}?`,
  ]),
  lookUp('opposites', OPPOSITES, (key) => [`What is the opposite of ${key}?`, `Give the opposite of ${key}.`, `What is not ${key}?`]),
  larger,
  lookUp('young animals', YOUNG, (key) => [
    `What is a young ${key}?`,
    `Name the young of ${one(key)}.`,
    `What is the baby of ${one(key)}?`,
  ]),
  neighbours('days', DAYS, 'day'),
  words,
  lookUp('colours', COLOURS, (key) => [`What colour is ${key}?`, `Name the colour of ${key}.`, `Which colour has ${key}?`]),
  neighbours('months', MONTHS, 'month'),
  counting,
  lookUp('kinds', KINDS, (key) => [`What kind of thing is ${one(key)}?`, `Which group has ${one(key)}?`, `What is ${one(key)}?`]),
  sums,
];

/** Openings of a prompt: they make many prompts from few facts, and held-out prompts new ones. */
export const OPENINGS: readonly string[] = [
  '',
  'Question: ',
  'Please answer: ',
  'Tell me: ',
  'Quick: ',
  'A riddle: ',
  'One word: ',
  'Now this: ',
];

/** True if an answer is the sample's, apart from blanks at its ends. */
export function isRight(sample: Sample, answer: string): boolean {
  return answer.trim() === sample.answer.trim();
}
