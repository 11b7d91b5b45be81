// What a site keeps of a training in parts, so that one that was killed goes on with the same bits:
// models or trainer states that it can begin from, and which global parts it has received.
import { z } from 'zod';
import type { CodecTable } from '../codec/codec.js';
import { jsonText } from '../core/json-text.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { contentDigest, writeDigested } from '../exchange/content-digest.js';
import { readState } from '../exchange/state-file.js';
import { openSafetensors } from '../tensor/safetensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import { partOfSegment, roundOfSegment } from '../trainer/part-plan.js';
import type { PartsStart } from '../trainer/trainer.js';

const count = z.int().min(0);

const stateSchema = z.strictObject({
  run: z.string(),
  /** Starts after fewer segments are of a training that failed. */
  from: count,
  /** The round of the last values of each part that were received, by part. */
  received: z.record(z.string(), count),
  /** After how many segments each start stands, in order. */
  starts: z.array(z.strictObject({ done: count, kind: z.enum(['model', 'state']), digest: z.string() })),
});

type State = z.output<typeof stateSchema>;

const STATE = 'parts.json';

/** A start that was kept, and the segments that were done then. */
export interface KeptStart extends PartsStart {
  readonly done: number;
}

/** The kept states of a site in one run. */
export class PartStates {
  readonly #folder: Folder;
  readonly #run: string;
  readonly #codecs: CodecTable;
  /** Files that this process has written, which need not be verified. */
  readonly #written = new Set<string>();

  /** `folder` holds nothing else. */
  constructor(folder: Folder, run: string, codecs: CodecTable) {
    this.#folder = folder;
    this.#run = run;
    this.#codecs = codecs;
  }

  /** The round of the values of a part that were received last; undefined where there are none. */
  async received(part: number): Promise<number | undefined> {
    return (await this.#state()).received[part];
  }

  /** Notes that the values of these parts are held, by part; returns once that is durable. */
  async note(rounds: Readonly<Record<number, number>>): Promise<void> {
    const state = await this.#state();
    await this.#write({ ...state, received: { ...state.received, ...rounds } });
  }

  /**
   * The last start from which segment `segment` can be trained to the same bits: every part that is
   * merged on the way there, but for the last, is still held. The caller closes it.
   */
  async before(segment: number, of: number): Promise<KeptStart | undefined> {
    const { from, received, starts } = await this.#state();
    for (const { done, kind, digest } of [...starts].reverse()) {
      if (done < from || done >= segment || segment - done > of) continue;
      const merged = kind === 'state' ? done : done + 1;
      let holds = true;
      for (let one = merged; one < segment - 1; one++) holds &&= received[partOfSegment(one, of)] === roundOfSegment(one, of);
      const dict = holds ? await this.#open(done, kind, digest) : undefined;
      if (dict) return { done, kind, dict };
    }
    return undefined;
  }

  /**
   * Keeps a start, durably. The one before it stays, since a segment that is cut short begins from it;
   * older ones are removed.
   */
  async keep({ done, kind, dict }: KeptStart): Promise<void> {
    const file = fileOf(done, kind);
    const digest = await writeDigested(this.#folder, file, dict);
    this.#written.add(file);
    const state = await this.#state();
    const starts = [...state.starts.filter((one) => one.done < done), { done, kind, digest }].slice(-2);
    await this.#write({ ...state, starts });
    const kept = new Set(starts.map((one) => fileOf(one.done, one.kind)));
    for (const name of await this.#folder.list()) if (name !== STATE && !kept.has(name)) await this.#folder.remove(name);
  }

  /** Forgets what led to a failure in a segment: the site begins anew from the global model. */
  async forget(segment: number): Promise<void> {
    await this.#write({ ...(await this.#state()), from: segment });
  }

  async #open(done: number, kind: PartsStart['kind'], digest: string): Promise<StateDict | undefined> {
    const file = fileOf(done, kind);
    if ((await this.#folder.sizeBytes(file)) === undefined) return undefined;
    const dict = await openSafetensors(this.#folder, file);
    if (this.#written.has(file) || (await contentDigest(dict, this.#codecs)) === digest) return dict;
    await dict.close?.();
    return undefined;
  }

  async #state(): Promise<State> {
    const state = await readState(this.#folder, STATE, stateSchema);
    return state?.run === this.#run ? state : { run: this.#run, from: 0, received: {}, starts: [] };
  }

  async #write(state: State): Promise<void> {
    await writeText(this.#folder, STATE, jsonText(state, STATE));
  }
}

function fileOf(done: number, kind: PartsStart['kind']): string {
  return `${kind}-${done}.safetensors`;
}
