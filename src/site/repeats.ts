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
/** Asks by `<kind>-<round>`: the models that they were done for. */
const stateSchema = z.strictObject({ run: z.string(), answered: z.record(z.string(), z.array(z.string())) });

/** Digests of what a task is about, as it was found here: a server may call two models by one name. */
export interface Content {
  readonly model: string;
  readonly extras?: string | undefined;
}

/** The asks of one run that were done. */
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

  /**
   * Counts a task, durably, before its trainer is called: figures leave while it is at work, and a
   * server can make a task fail once it has them. Throws `refused` if the round was done for as many
   * other models as is allowed.
   */
  async count(task: Task, content: Content): Promise<void> {
    const answered = await this.#read();
    const key = keyOf(task);
    const models = answered[key] ?? [];
    const model = modelOf(task, content);
    if (models.includes(model)) return;
    if (models.length >= this.#most)
      throw refusedBy(
        'limits.mostRepeats',
        `the server asks to ${task.kind} round ${task.round} for another model; this site has done so for ${models.length}, and allows ${this.#most} (docs/site.md)`,
      );
    answered[key] = [...models, model];
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

function keyOf({ kind, round, parts }: Task): string {
  return kind === 'trainPart' && parts ? `${kind}-${round}-${parts.part}` : `${kind}-${round}`;
}

/** What a task is about: its model, and what comes beside it. */
function modelOf({ figures }: Task, { model, extras }: Content): string {
  const beside = extras !== undefined || figures ? ` ${extras ?? ''} ${JSON.stringify(figures ?? {})}` : '';
  return `${model}${beside}`;
}
