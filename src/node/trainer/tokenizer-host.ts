// Encodes samples with a tokenizer from the other side, beside the main thread: its rules (regular
// expressions, replacements, merges) are a program that may never end, or take all memory.
import { BUDGETS } from '../../core/budgets.js';
import { asFedStreamError, type ErrorCode, FedStreamError } from '../../core/errors.js';
import type { Encoded } from '../../trainer/data/encode-sample.js';
import type { Sample } from '../../trainer/data/sample.js';
import { hasKnownRules } from '../../trainer/tokenizer/known-rules.js';
import { OWN_CHAT_TEMPLATE } from '../../trainer/tokenizer/tokenizer-json.js';
import { openProcess, openThread, type TokenizerChannel } from './tokenizer-channel.js';

/** The texts of a tokenizer, and its name in messages. */
export interface TokenizerTexts {
  readonly json: string;
  readonly configJson: string | undefined;
  /** The text of `chat_template.jinja`. */
  readonly template?: string | undefined;
  readonly source: string;
}

/** Samples to encode. */
export interface EncodeRequest {
  readonly samples: readonly Sample[];
  readonly maxTokens: number;
}

/** An answer: the tokenizer is loaded, samples are encoded, or it failed. */
export interface EncodeReply {
  readonly padToken?: number;
  readonly encoded?: Encoded;
  readonly error?: { readonly code: ErrorCode; readonly message: string };
}

/** Options of `startTokenizer`. */
export interface TokenizerHostOptions extends TokenizerTexts {
  /** Ends the tokenizer at once. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for loading, and for each megabyte of text; by default the budget. */
  readonly limitMs?: number;
  /** Memory of the tokenizer; by default the budget. */
  readonly heapBytes?: number;
}

/** A tokenizer beside the main thread. */
export interface TokenizerHost {
  readonly padToken: number;
  /** Rejects with `bad-model`, with `limit` if the rules take too long, or with the signal's reason. */
  encode(samples: readonly Sample[], maxTokens: number): Promise<Encoded>;
  close(): Promise<void>;
}

/** Texts for which one time limit counts; a tokenizer encodes some megabytes a second. */
const CHARACTERS_A_REQUEST = 1024 * 1024;
const MEGABYTE = 1024 * 1024;

/** A longer tokenizer.json is not read here, not even to see whether its rules are known. */
const READ_HERE_CHARACTERS = 4 * MEGABYTE;

/** Loads a tokenizer; rejects as `encode` does. */
export async function startTokenizer(options: TokenizerHostOptions): Promise<TokenizerHost> {
  const running = new RunningTokenizer(options);
  try {
    const { padToken } = await running.answer('loading it');
    return {
      padToken: padToken as number,
      encode: (samples, maxTokens) => running.encode(samples, maxTokens),
      close: () => running.close(),
    };
  } catch (error) {
    await running.close();
    throw error;
  }
}

class RunningTokenizer {
  readonly #channel: TokenizerChannel;
  readonly #options: TokenizerHostOptions;
  #failure: FedStreamError | undefined;
  #settle: ((reply: EncodeReply | FedStreamError) => void) | undefined;
  #early: EncodeReply | undefined;

  constructor(options: TokenizerHostOptions) {
    const { json, configJson, template, source, signal } = options;
    this.#options = options;
    const open = isKnown(json) && !hasForeignTemplate(configJson, template) ? openThread : openProcess;
    this.#channel = open(this.#heapBytes, {
      message: (reply) => this.#arrived(reply as EncodeReply),
      broke: (how) =>
        this.#fail(new FedStreamError('limit', `${source}: the tokenizer, which has ${this.#heapBytes / MEGABYTE} MiB, ${how}`)),
    });
    this.#channel.post({ json, configJson, template, source } satisfies TokenizerTexts);
    signal?.addEventListener('abort', this.#aborted, { once: true });
    if (signal?.aborted) this.#aborted();
  }

  get #heapBytes(): number {
    return this.#options.heapBytes ?? BUDGETS.tokenizerHeap.limit;
  }

  async encode(samples: readonly Sample[], maxTokens: number): Promise<Encoded> {
    const all = { examples: [] as Encoded['examples'][number][], skipped: 0, truncated: 0, lost: 0, refused: { count: 0, reason: '' } };
    for (const some of portions(samples)) {
      if (!this.#failure) this.#channel.post({ samples: some, maxTokens } satisfies EncodeRequest);
      const { encoded } = await this.answer(`${some.length} samples`);
      const { examples, skipped, truncated, lost, refused } = encoded as Encoded;
      for (const example of examples) all.examples.push(example);
      all.skipped += skipped;
      all.truncated += truncated;
      all.lost += lost;
      all.refused = { count: all.refused.count + refused.count, reason: all.refused.reason || refused.reason };
    }
    return all;
  }

  /** The next answer; `what` it is at work on stands in the error of one that takes too long. */
  async answer(what: string): Promise<EncodeReply> {
    const { source, limitMs = BUDGETS.tokenizerMs.limit } = this.#options;
    const late = setTimeout(() => {
      const took = `took longer than ${limitMs / 1000} s on ${what}`;
      this.#fail(
        new FedStreamError('limit', `${source}: its rules ${took} and were stopped; whoever made this tokenizer has to mend them`),
      );
    }, limitMs);
    try {
      const reply = await this.#next();
      if (reply instanceof FedStreamError) throw reply;
      if (reply.error) throw new FedStreamError(reply.error.code, reply.error.message);
      return reply;
    } finally {
      clearTimeout(late);
    }
  }

  async close(): Promise<void> {
    this.#options.signal?.removeEventListener('abort', this.#aborted);
    await this.#channel.end();
  }

  readonly #aborted = (): void => this.#fail(asFedStreamError(this.#options.signal?.reason, 'aborted'));

  #next(): Promise<EncodeReply | FedStreamError> {
    const early = this.#failure ?? this.#early;
    this.#early = undefined;
    if (early) return Promise.resolve(early);
    return new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  #arrived(reply: EncodeReply): void {
    const settle = this.#settle;
    this.#settle = undefined;
    if (settle) settle(reply);
    else this.#early = reply;
  }

  #fail(error: FedStreamError): void {
    if (this.#failure) return;
    this.#failure = error;
    void this.#channel.end();
    this.#settle?.(error);
    this.#settle = undefined;
  }
}

/** True where the rules are those of a known family. */
function isKnown(json: string): boolean {
  if (json.length > READ_HERE_CHARACTERS) return false;
  try {
    return hasKnownRules(JSON.parse(json));
  } catch {
    return true; // the thread says what is wrong with it
  }
}

/** True where somebody else's chat template comes with the tokenizer: it is a program, too. */
function hasForeignTemplate(configJson: string | undefined, template: string | undefined): boolean {
  if (template !== undefined) return true;
  if (configJson === undefined) return false;
  try {
    const { chat_template: given } = JSON.parse(configJson) as { chat_template?: unknown };
    return given !== undefined && given !== null && given !== OWN_CHAT_TEMPLATE;
  } catch {
    return false; // the thread says what is wrong with it
  }
}

/** The samples in portions for which one time limit counts; a larger one is a portion of its own. */
function* portions(samples: readonly Sample[]): Generator<Sample[]> {
  let portion: Sample[] = [];
  let characters = 0;
  for (const { prompt, answer, category, messages, tools } of samples) {
    const length = prompt.length + answer.length + (messages ? JSON.stringify([messages, tools]).length : 0);
    if (portion.length > 0 && characters + length > CHARACTERS_A_REQUEST) {
      yield portion;
      portion = [];
      characters = 0;
    }
    portion.push({ prompt, answer, ...(category !== undefined && { category }), ...(messages && { messages }), ...(tools && { tools }) });
    characters += length;
  }
  if (portion.length > 0) yield portion;
}
