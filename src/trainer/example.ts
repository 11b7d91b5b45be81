// A training example: tokens, and how many of them are the prompt.

/** A training example. */
export interface Example {
  /** Prompt, answer and end-of-text. */
  readonly tokens: Int32Array;
  /** Number of the prompt's tokens; the cross-entropy leaves them out. */
  readonly promptTokens: number;
  /** The sample's category, if the data names one. */
  readonly category?: string;
}
