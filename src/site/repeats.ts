// Counts for how many different models each round was trained or evaluated, on disk: a server that
// asks for one round again and again would learn more of its samples each time.
import { z } from 'zod';
import { jsonText } from '../core/json-text.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { readState } from '../exchange/state-file.js';
import type { Task } from '../exchange/task.js';
import { refusedBy } from './site-rule.js';

const FILE = 'repeats.json';
/** Asks by `<kind>-<round>`: the models that were answered. */
const stateSchema = z.strictObject({ run: z.string(), answered: z.record(z.string(), z.array(z.string())) });

/** The answered asks of one run. */
export class Repeats {
  readonly #folder: Folder;
  readonly #run: string;
  readonly #most: number;
  #answered: Record<string, string[]> | undefined;

  constructor(folder: Folder, run: string, most: number) {
    this.#folder = folder;
    this.#run = run;
    this.#most = most;
  }

  /** Throws `refused` if the round was answered for as many other models as is allowed. */
  async check(task: Task): Promise<void> {
    const models = (await this.#read())[keyOf(task)] ?? [];
    if (models.length < this.#most || models.includes(modelOf(task))) return;
    throw refusedBy(
      'limits.mostRepeats',
      `the server asks to ${task.kind} round ${task.round} for another model; this site has done so for ${models.length}, and allows ${this.#most} (docs/site.md)`,
    );
  }

  /** Counts a task, durably, before its answer leaves. */
  async note(task: Task): Promise<void> {
    const answered = await this.#read();
    const key = keyOf(task);
    const models = answered[key] ?? [];
    if (models.includes(modelOf(task))) return;
    answered[key] = [...models, modelOf(task)];
    await writeText(this.#folder, FILE, jsonText({ run: this.#run, answered }, FILE));
  }

  async #read(): Promise<Record<string, string[]>> {
    if (!this.#answered) {
      const state = await readState(this.#folder, FILE, stateSchema);
      this.#answered = state?.run === this.#run ? state.answered : {};
    }
    return this.#answered;
  }
}

function keyOf({ kind, round }: Task): string {
  return `${kind}-${round}`;
}

/** The model's digest; broadcasts without one have a name that no other broadcast has. */
function modelOf({ model, extras, figures }: Task): string {
  const beside = extras || figures ? ` ${extras?.object ?? ''} ${JSON.stringify(figures ?? {})}` : '';
  return `${model?.digest ?? model?.whole.object ?? ''}${beside}`;
}
