// One training example: tokens, and how many of them are the prompt.

export interface Example {
  /** Prompt, answer and end-of-text. */
  readonly tokens: Int32Array;
  /** The first target that counts: cross-entropy is masked over the prompt's own tokens. */
  readonly promptTokens: number;
  /** The category it came from, where the data names one. */
  readonly category?: string;
}
