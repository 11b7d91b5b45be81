// The budgets of texts and configurations from the other side.
import type { Budget } from './budget.js';

/** The budgets of texts and configurations from the other side. */
export const TEXT_BUDGETS = {
  tokenizerMs: {
    limit: 60_000,
    unit: 'ms',
    each: 'megabyte of text',
    beyond: 'the tokenizer is stopped, and the site or the command ends with one error',
    why: 'a tokenizer encodes some megabytes a second; a regular expression that backtracks never ends',
  },
  tokenizerHeap: {
    limit: 2 * 1024 * 1024 * 1024,
    unit: 'bytes',
    each: 'tokenizer',
    beyond: 'the tokenizer is stopped, and the site or the command ends with one error',
    why: 'the largest vocabularies take some 500 MB; replacements that double a text know no bound',
  },
  configurationBytes: {
    limit: 1024 * 1024,
    unit: 'bytes',
    each: 'config.json or tokenizer_config.json',
    beyond: 'the model is refused by the name of the file',
    why: 'configurations have a few KiB, those with chat templates some 50',
  },
  offeredTextBytes: {
    limit: 1024 * 1024,
    unit: 'bytes',
    each: 'offered model, for all texts of its folder',
    beyond: 'the offer is refused',
    why: 'a label map of 20,000 classes has some 700 KiB, other configurations a few',
  },
  fingerprints: {
    limit: 64,
    unit: 'texts',
    each: 'message of a site or its program on what it trains',
    beyond: 'the message is refused: the program counts as failed, and so does the task of the site',
    why: 'the settings of an adapter and of a base are some fifty',
  },
  fingerprintText: {
    limit: 128,
    unit: 'characters',
    each: 'value among them',
    beyond: 'the message is refused: the program counts as failed, and so does the task of the site',
    why: 'a longer setting is told by its digest, which has 71 characters',
  },
  errorText: {
    limit: 8_192,
    unit: 'characters',
    each: 'message of an error',
    beyond: 'the message is cut and says so',
    why: 'a name in a file may have megabytes, and each message goes to terminals, logs and peers',
  },
  eventText: {
    limit: 4_096,
    unit: 'characters',
    each: 'warning or reason among the events',
    beyond: 'the text is cut and says so',
    why: 'a line of events.jsonl must stay below the longest that is read back, whatever it quotes',
  },
  reasonText: {
    limit: 1_000,
    unit: 'characters',
    each: 'reason that a site gives for a failure',
    beyond: 'the text is cut and says so',
    why: "a sentence and the end of a traceback; the whole is in the site's own log",
  },
} as const satisfies Readonly<Record<string, Budget>>;
