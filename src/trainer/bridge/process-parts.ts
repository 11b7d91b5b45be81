// A program that trains while its model is exchanged in parts: the site's side of one such training
// (docs/spec/trainer-bridge.md).
import { asFedStreamError, FedStreamError } from '../../core/errors.js';
import type { Folder } from '../../core/storage.js';
import { partOf } from '../../tensor/model-parts.js';
import { openSafetensors, writeSafetensors } from '../../tensor/safetensors.js';
import { bytesless, type StateDict } from '../../tensor/state-dict.js';
import { partOfSegment, roundOfSegment } from '../part-plan.js';
import type { PartsStart, PartsTask } from '../trainer.js';
import { checkTies, fittingResult } from './check-result.js';
import { removeAll, removedWhenClosed } from './exchange-files.js';
import { type BridgePart, type BridgeTask, encodeMessage, MAX_MESSAGE_BYTES, partFile } from './messages.js';
import type { RunningProgram } from './running-program.js';

/** The program, and where its files are exchanged. */
export interface ProcessParts {
  readonly running: RunningProgram;
  /** The program's name in messages. */
  readonly label: string;
  readonly exchange: Folder;
  pathOf(name: string): string;
}

const GIVEN = 'parts.safetensors';
const RESULT = 'parts-result.safetensors';

/** Resolves once the program has trained to the end of the run; see `Trainer.trainParts`. */
export async function processParts(program: ProcessParts, task: PartsTask, start: PartsStart): Promise<void> {
  const { running, label, exchange, pathOf } = program;
  const { plan, parts, done, rounds } = task;
  if (start.kind !== 'model') throw new FedStreamError('internal', `${label} keeps no states, and is given one`);
  const round = roundOfSegment(done + 1, plan.of);
  const names = parts.map((part) => [...part]);
  const asked: BridgeTask = {
    type: 'task',
    id: `parts-${done}`,
    kind: 'train',
    round,
    rounds,
    model: pathOf(GIVEN),
    result: pathOf(RESULT),
    parts: { ...plan, done, names },
  };
  if (encodeMessage(asked).length > MAX_MESSAGE_BYTES)
    throw new FedStreamError(
      'limit',
      `the names of the model's tensors have more than ${MAX_MESSAGE_BYTES} bytes; ${label} cannot be told its parts`,
    );
  for (const file of [GIVEN, RESULT]) await removeAll(exchange, file);
  await writeSafetensors(exchange, GIVEN, start.dict, { durable: false });
  const exchanged = new Exchanged(program, task, start.dict);
  const listener = { onStep: task.onStep, onProgress: () => task.onProgress?.(), onPart: (part: BridgePart) => exchanged.take(part) };
  try {
    await running.ask(asked, AbortSignal.any([task.signal, exchanged.failed]), listener);
    await exchanged.end();
  } finally {
    for (const file of [GIVEN, RESULT]) await removeAll(exchange, file);
  }
}

/** The parts of a training as they come, and the values that go back. */
class Exchanged {
  readonly #program: ProcessParts;
  readonly #task: PartsTask;
  readonly #given: StateDict;
  readonly #stop = new AbortController();
  #last: number;
  #work: Promise<void> = Promise.resolve();

  constructor(program: ProcessParts, task: PartsTask, given: StateDict) {
    this.#program = program;
    this.#task = task;
    this.#given = given;
    this.#last = task.done;
  }

  /** Aborted with the error once something has gone wrong here. */
  get failed(): AbortSignal {
    return this.#stop.signal;
  }

  /** Takes the next part; it is sent and merged in the background, in order. */
  take(part: BridgePart): void {
    const wrong = part.segment !== this.#last + 1 || part.segment > this.#segments;
    this.#last = part.segment;
    this.#work = this.#work
      .then(() => {
        if (wrong) throw new FedStreamError('trainer', `${this.#program.label} sent the part of segment ${part.segment} out of turn`);
        return this.#exchange(part);
      })
      .catch((error: unknown) => this.#stop.abort(asFedStreamError(error)));
  }

  /** Throws where parts are missing, or could not be exchanged. */
  async end(): Promise<void> {
    const { label } = this.#program;
    if (this.#last !== this.#segments)
      throw new FedStreamError('trainer', `${label} ended its training after segment ${this.#last} of ${this.#segments}`);
    await this.#work;
    this.#stop.signal.throwIfAborted();
  }

  get #segments(): number {
    return this.#task.rounds * this.#task.plan.of;
  }

  async #exchange({ segment, samples, steps, trainLoss, metrics }: BridgePart): Promise<void> {
    const { running, exchange, pathOf } = this.#program;
    const model = await this.#open(segment);
    await this.#task.send({ segment, model, samples, steps, trainLoss, metrics });
    if (segment === this.#segments) return;
    const given = await running.notSilentDuring(this.#task.merge(segment));
    const file = partFile(GIVEN, segment);
    try {
      // The program has mapped the one before, and has it for as long as it wants.
      await exchange.remove(partFile(GIVEN, segment - 1));
      await writeSafetensors(exchange, file, given, { durable: false });
    } finally {
      await given.close?.();
    }
    running.merge(segment, pathOf(file));
  }

  async #open(segment: number): Promise<StateDict> {
    const { label, exchange } = this.#program;
    const { of } = this.#task.plan;
    const file = partFile(RESULT, segment);
    let found: StateDict;
    try {
      found = await openSafetensors(exchange, file);
    } catch (cause) {
      throw new FedStreamError('trainer', `${label} has no readable part of segment ${segment}: ${(cause as Error).message}`, { cause });
    }
    try {
      const names = this.#task.parts[partOfSegment(segment, of) - 1] as ReadonlySet<string>;
      const expected = partOf(bytesless(this.#given.manifest), names).manifest;
      const fitting = fittingResult(found, expected, label);
      await checkTies(found, expected, label);
      return removedWhenClosed(fitting, exchange, file);
    } catch (error) {
      await found.close?.();
      throw error;
    }
  }
}
