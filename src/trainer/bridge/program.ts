// A running program as the bridge sees it: one connection, its output and its end.

/** Bytes in both directions, in order. */
export interface BridgeConnection extends AsyncIterable<Uint8Array> {
  send(bytes: Uint8Array): void;
  close(): void;
}

/** A program that was started for a site. */
export interface TrainerProgram {
  /** The program's one connection. Never settles if the program does not connect; see `ended`. */
  readonly connected: Promise<BridgeConnection>;
  /**
   * How the program ended, in words that follow its name: `ended with exit code 1`. Never rejects.
   */
  readonly ended: Promise<string>;
  /** Calls `listener` at each piece of output. */
  onOutput(listener: () => void): void;
  /** The last lines of output, as one line of text; empty if there is none. */
  lastLines(): string;
  /** Ends the program and all that it started; resolves once that is done. */
  end(): Promise<void>;
}

/** Starts a program. */
export type StartProgram = () => Promise<TrainerProgram>;
