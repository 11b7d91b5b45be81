// What the bridge needs of a running program, whatever started it: one connection, its end, and the end of its output.

/** Bytes both ways, in order. */
export interface BridgeConnection extends AsyncIterable<Uint8Array> {
  send(bytes: Uint8Array): void;
  close(): void;
}

/** A program that was started for a site. */
export interface TrainerProgram {
  /** Its one connection. Never settles where it does not connect; `ended` tells then. */
  readonly connected: Promise<BridgeConnection>;
  /** How it ended, as words that follow its name: `ended with exit code 1`. Never rejects. */
  readonly ended: Promise<string>;
  /** Called at each piece of its output. */
  onOutput(listener: () => void): void;
  /** The last lines of its output, as one line of text; empty where there are none. */
  lastLines(): string;
  /** Ends it and all that it started; resolves once that is so. */
  end(): Promise<void>;
}

export type StartProgram = () => Promise<TrainerProgram>;
