// A federation in one process, for a workflow under test: it can be cut off at any step.
import { referenceCodecs } from '../codec/codec-table.js';
import { silentLogger } from '../core/log.js';
import { memoryFolder } from '../core/memory-folder.js';
import type { Row } from '../core/row.js';
import type { Folder } from '../core/storage.js';
import type { Driver } from '../driver/driver.js';
import { memory } from '../driver/memory.js';
import { runServer } from '../hub/server.js';
import type { Job, JobInput } from '../job/job.js';
import { type Kit, kitWith, parseJob, workflowOf } from '../kit/kit.js';
import { writeGlobalModel } from '../server/global-models.js';
import { type JournalEntry, readJournal } from '../server/journal.js';
import { RunModels } from '../server/model-store.js';
import type { RunResult } from '../server/run.js';
import { runClient } from '../site/client.js';
import type { ServerLink } from '../site/server-link.js';
import { siteLink } from '../site/site-link.js';
import type { PartsStart, PartsTask, TrainedPart, Trainer } from '../trainer/trainer.js';
import type { Federation, Workflow } from '../workflow/federation.js';
import type { MakeWorkflow } from '../workflow/workflows.js';
import { check, equal, inTime, pause } from './checks.js';
import { Life, mortalFolder } from './mortal-folder.js';
import type { Options } from './row-options.js';
import { initialModel, learningTrainer } from './scripted-trainer.js';
import { contentOf, tensorsOf } from './state-dicts.js';

/** A workflow, and what the suite is to know of it. */
export interface WorkflowUnderTest {
  /** Its row, as a program puts it into its table. */
  readonly row: Row<MakeWorkflow>;
  /** Options, as a job writes them beside the name. */
  readonly options?: Options;
  /** Further fields of the job: its aggregator, how messages are coded, … */
  readonly job?: JobInput;
  /** Rows that the job names, beside those of this package. */
  readonly kit?: Partial<Kit>;
  /** Names of the extras that a site's result has, in the form of those that came with the task. */
  readonly returns?: readonly string[];
  /**
   * The trainer of a site that begins, or begins again; it gives the same for the same task. By
   * default one that learns something of its own, and returns the extras that `returns` names.
   */
  trainer?(site: string): Trainer;
  /** Rounds of the job; 3 by default. */
  readonly rounds?: number;
  /** Runs that are cut off at random instants until they end; 2 by default. */
  readonly cutRuns?: number;
  /** A run that takes longer hangs, in milliseconds; 20,000 by default. */
  readonly endMs?: number;
  /** Tests that do not hold for this workflow, by title, with the reason. */
  readonly exceptions?: Readonly<Record<string, string>>;
}

export const SITES = ['a', 'b', 'c'] as const;
const URL = 'memory://server';

export interface FederationOptions {
  readonly job?: JobInput;
  /** Milliseconds that each site thinks before it answers. */
  readonly delaysMs?: Readonly<Record<string, number>>;
  /** The trainer of a site, made of its usual one. */
  change?(site: string, usual: Trainer): Trainer;
  /** Steps after which a site alone is cut off, one after the other, each time to begin again. */
  readonly siteCuts?: Readonly<Record<string, number[]>>;
  /** Sites that begin with an empty folder after they were cut off. */
  readonly loses?: readonly string[];
}

/** The values of the initial model's float tensors, by name. */
export async function initialValues(): Promise<Record<string, Float32Array>> {
  const content = await tensorsOf(initialModel());
  return Object.fromEntries(['w', 'norm'].map((name) => [name, new Float32Array((content.get(name) as Uint8Array).slice().buffer)]));
}

export class ScriptedFederation {
  readonly job: Job;
  readonly run = memoryFolder('run');
  /** Each task that a site was given, as often as it was: round, site and task. */
  readonly asked: string[] = [];
  /** Faults that did not end the run. */
  readonly faults: string[] = [];
  /** Those of `asked` whose answer the server has confirmed. */
  readonly #answered = new Set<string>();
  /** The run's own, of the server that lives. */
  #federation: Federation | undefined;
  readonly #subject: WorkflowUnderTest;
  readonly #options: FederationOptions;
  readonly #kit: Kit;
  readonly #folders = new Map<string, Folder>(SITES.map((site) => [site, memoryFolder(site)]));

  constructor(subject: WorkflowUnderTest, options: FederationOptions = {}) {
    const { row, rounds = 3 } = subject;
    this.#subject = subject;
    this.#options = options;
    this.#kit = kitWith({ workflows: [row], codecs: referenceCodecs, ...subject.kit });
    const workflow = { type: row.name, ...subject.options };
    const standard = { rounds, sites: [...SITES], seed: 11, idleMs: 2000, stragglerMs: 10_000 };
    this.job = parseJob({ ...standard, ...subject.job, ...options.job, workflow }, 'the suite', this.#kit);
  }

  /** Begins, or goes on; resolves with undefined where the life is over before the run is. */
  async live(life = new Life()): Promise<RunResult | undefined> {
    const { endMs = 20_000 } = this.#subject;
    if ((await this.run.list('global')).length === 0) await writeGlobalModel(this.run, 0, initialModel());
    const driver = memory();
    const clients: Promise<void>[] = [];
    const onListening = (): void => {
      for (const site of SITES) clients.push(this.#site(site, driver, life));
    };
    const serving = runServer({
      job: this.job,
      run: mortalFolder(this.run, life),
      codecs: this.#kit.codecs,
      filters: this.#kit.filters,
      workflow: this.#watched(workflowOf(this.job, this.#kit)),
      files: {},
      emit: () => {},
      log: silentLogger,
      signal: life.stop.signal,
      listeners: [{ driver, url: URL }],
      onListening,
    });
    try {
      return await inTime(serving, endMs, 'the run');
    } catch (error) {
      if (!life.isOver) throw error;
      return undefined;
    } finally {
      // A site that hangs never hears that it is over.
      await Promise.race([Promise.all(clients), pause(200)]);
      life.end();
      await inTime(Promise.all(clients), endMs, 'a site that was stopped');
      serving.catch(() => {});
    }
  }

  /** The committed rounds, by the journal. */
  history(): Promise<JournalEntry[]> {
    return readJournal(this.run);
  }

  /** The bytes of the model, and of what is kept beside it, by name. */
  async content(): Promise<Map<string, Uint8Array[]>> {
    const store = new RunModels(this.run, await this.history());
    const found = new Map<string, Uint8Array[]>();
    for (const name of await store.names()) {
      const model = await store.open(name);
      found.set(name, await contentOf(model));
      await model.close?.();
    }
    return found;
  }

  /** One site, which begins again as long as it alone is cut off. */
  async #site(site: string, driver: Driver, life: Life): Promise<void> {
    const cuts = this.#options.siteCuts?.[site] ?? [];
    while (!life.isOver) {
      const own = new Life(cuts.shift());
      const end = (): void => own.end();
      life.stop.signal.addEventListener('abort', end);
      const inner = mortalFolder(this.#folders.get(site) as Folder, life);
      const folder = mortalFolder(inner, own);
      const { signal } = own.stop;
      const common = { site, driver, url: URL, codecs: this.#kit.codecs, filters: this.#kit.filters, folder, log: silentLogger, signal };
      const link = this.#noted(site, siteLink({ ...common, retryMs: 500 }));
      const memoryUse = () => ({ rssBytes: 1, peakRssBytes: 1 });
      try {
        await runClient({ ...common, link, memory: memoryUse, makeTrainer: async () => this.#trainer(site) });
        return;
      } catch {
        if (!own.isOver) return;
        if (this.#options.loses?.includes(site)) this.#folders.set(site, memoryFolder(site));
      } finally {
        life.stop.signal.removeEventListener('abort', end);
        await link.close();
      }
    }
  }

  #trainer(site: string): Trainer {
    const { trainer, returns } = this.#subject;
    const { delaysMs = {}, change } = this.#options;
    const usual = trainer?.(site) ?? learningTrainer(SITES.indexOf(site as (typeof SITES)[number]), returns);
    const slow: Trainer = {
      ...usual,
      async train(task, model) {
        await pause(delaysMs[site] ?? 0);
        return usual.train(task, model);
      },
      ...(usual.trainParts && {
        async trainParts(task: PartsTask, start: PartsStart): Promise<void> {
          const send = async (part: TrainedPart): Promise<void> => {
            await pause(delaysMs[site] ?? 0);
            await task.send(part);
          };
          await usual.trainParts?.({ ...task, send }, start);
        },
      }),
      evaluate: (...given) => usual.evaluate(...given),
      knows: async (...given) => usual.knows?.(...given),
      close: () => usual.close(),
    };
    return change?.(site, slow) ?? slow;
  }

  /** Notes which tasks a site is given, and which answers the server has confirmed. */
  #noted(site: string, link: ServerLink): ServerLink {
    let last = '';
    return new Proxy(link, {
      get: (target, key) => {
        if (key === 'next')
          return async () => {
            const next = await target.next();
            if ('stop' in next) return next;
            // A task's name is its own among those of a round.
            last = `${this.#federation?.round} ${site} ${next.task.id}`;
            this.asked.push(last);
            if (this.#answered.has(last)) this.faults.push(`${site} was asked ${next.task.id} again, which it had answered`);
            return next;
          };
        if (key === 'sendResult' || key === 'sendKept')
          return async (...given: Parameters<ServerLink['sendResult']>) => {
            const sent = key === 'sendKept' ? await target.sendKept(given[0]) : await target.sendResult(...given);
            if (sent || key === 'sendResult') this.#answered.add(last);
            return sent;
          };
        const value = Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  /** Looks at what there is after each commit. */
  #watched(workflow: Workflow): Workflow {
    return (federation) => {
      this.#federation = federation;
      const commit: Federation['commit'] = async (figures) => {
        await federation.commit(figures);
        await this.#checkCommitted(federation).catch((error: Error) => this.faults.push(error.message));
      };
      return workflow(Object.create(federation, { commit: { value: commit } }));
    };
  }

  async #checkCommitted({ history, models, signal }: Federation): Promise<void> {
    if (signal.aborted) return;
    const round = history.length - 1;
    equal(history.map((step) => step.round).join(), Array.from({ length: round + 1 }, (_, i) => i).join(), 'the rounds that are committed');
    const model = await models.open('model');
    const expected = initialModel().manifest.tensors.map(({ name, shape }) => `${name} [${shape}]`);
    equal(model.manifest.tensors.map(({ name, shape }) => `${name} [${shape}]`).join(), expected.join(), `the tensors of round ${round}`);
    for await (const { tensor, bytes } of model.chunks())
      if (tensor.dtype === 'F32')
        check(
          new Float32Array(bytes.slice().buffer).every(Number.isFinite),
          `${tensor.name} of round ${round} has a value that is no number`,
        );
    await model.close?.();
  }
}
