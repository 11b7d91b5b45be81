// A training example: tokens, and how many of them are the prompt.

/** A training example. */
export interface Example {
  /** Prompt, answer and end-of-text. */
  readonly tokens: Int32Array;
  /** Number of the prompt's tokens; the cross-entropy leaves them out. */
  readonly promptTokens: number;
  /** 1 for each token that is learnt; without it, all after the prompt are. */
  readonly learnt?: Uint8Array;
  /** The sample's category, if the data names one. */
  readonly category?: string;
}
