// A relay: to the server a site like any other, to sites of its own their server. It passes the
// server's tasks on, combines what its sites answer, and sends one answer up.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import type { DriverOptions } from '../driver/driver.js';
import type { Task } from '../exchange/task.js';
import type { AdmissionRules } from '../hub/admission.js';
import { Hub } from '../hub/hub.js';
import { type InnerRun, openInnerRun } from '../hub/inner-run.js';
import type { Listening } from '../hub/server.js';
import type { Job } from '../job/job.js';
import type { EmitEvent, EventBody } from '../record/events.js';
import { type ClientOptions, runClient } from '../site/client.js';
import { RELAYED_FOLDER } from '../site/fetched-spools.js';
import { folderOfRun } from '../site/run-place.js';
import type { Joined } from '../site/server-link.js';
import type { StepReports } from '../site/step-reports.js';
import type { Workplace } from '../site/workplace.js';
import type { Fingerprints } from '../trainer/fingerprints.js';
import type { Trainer } from '../trainer/trainer.js';
import { checkOwnSites, jobBelow, type OwnSites } from './job-below.js';
import { PassedObjects } from './passed-objects.js';
import { PassingBroadcaster } from './passing-broadcaster.js';
import { type RelayWork, relayTasks } from './relay-tasks.js';
import { StepsBelow } from './steps-below.js';

/** The folder of the inner run, in that of the run that was joined. */
export const INNER_FOLDER = 'relay';

/** How often progress below is looked for, so that it is told above. */
const LOOK_MS = 500;

/** The run of a relay's own sites, as it begins. */
export interface Below {
  readonly job: Job;
  /** The run folder: models, answers and journal of the relay's own sites. */
  readonly run: Folder;
  /** The unique name of the run above. */
  readonly above: string;
}

/** Options of `runRelayClient`: those of a site, and those of a server. */
export interface RelayOptions extends Omit<ClientOptions, 'makeTrainer' | 'tasks'>, OwnSites {
  /** Addresses to listen at; they are opened once the server above was reached, since it has the job. */
  readonly listeners: readonly Listening[];
  /** Names and origins that requests over HTTP may have, for all listeners. */
  readonly web?: Pick<DriverOptions, 'hosts' | 'origins'> | undefined;
  /** The credentials of the relay's own sites; as for `addJobRun`. */
  readonly admission?: AdmissionRules;
  /** Called with each URL that sites can connect to. */
  onListening(url: string): void;
  /** Called before the run of the own sites begins; returns the receiver of its events. */
  openRecord?(below: Below): Promise<EmitEvent>;
}

/**
 * Runs until the server above says stop, tells the own sites, and resolves with the reason. Rejects as
 * `runClient` does, and with any error that ends the run below (`io`). Durable: killed and started
 * again in the same folder it goes on, and asks none of its sites twice.
 */
export async function runRelayClient(options: RelayOptions): Promise<string> {
  checkOwnSites(options);
  const { log } = options;
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const hub = new Hub({ log });
  let relay: Relay | undefined;
  let failure: FedStreamError | undefined;
  const makeTrainer = async (joined: Joined): Promise<Trainer> => {
    relay = await Relay.open(hub, joined, { ...options, signal });
    relay.inner().ended.catch((error: unknown) => stop.abort(error));
    await relay.listen(options);
    return relay.trainer;
  };
  const tasks = relayTasks({
    inner: () => (relay as Relay).inner(),
    get objects() {
      return (relay as Relay).objects;
    },
    get broadcaster() {
      return (relay as Relay).broadcaster;
    },
    tellAbout: (...about) => (relay as Relay).tellAbout(...about),
    during: (...what) => (relay as Relay).during(...what),
  });
  try {
    const reason = await runClient({ ...options, signal, tasks, makeTrainer });
    await relay?.inner().stop(reason);
    return reason;
  } catch (error) {
    failure = asFedStreamError(stop.signal.aborted && !options.signal.aborted ? stop.signal.reason : error);
    throw failure;
  } finally {
    await hub.close(failure && new FedStreamError(failure.code, 'the relay was stopped'));
  }
}

/** A relay that has joined its server. */
class Relay implements RelayWork {
  readonly objects: PassedObjects;
  readonly broadcaster: PassingBroadcaster;
  readonly #hub: Hub;
  #inner: InnerRun | undefined;
  /** The task that is being done, and the steps of the own sites in it. */
  #current: { readonly task: Task; readonly place: Workplace; readonly reports: StepReports; readonly steps: StepsBelow } | undefined;
  #told: Fingerprints = {};

  /** Handlers do the tasks of a relay; of a trainer it has only what its sites tell of theirs. */
  readonly trainer: Trainer = {
    train: () => Promise.reject(new FedStreamError('internal', 'a relay trains nothing itself')),
    evaluate: () => Promise.reject(new FedStreamError('internal', 'a relay evaluates nothing itself')),
    fingerprints: async () => this.#told,
    close: async () => {},
  };

  private constructor(hub: Hub, objects: PassedObjects, broadcaster: PassingBroadcaster) {
    this.#hub = hub;
    this.objects = objects;
    this.broadcaster = broadcaster;
  }

  static async open(hub: Hub, { job, run: above, files }: Joined, options: RelayOptions): Promise<Relay> {
    const { codecs, filters, admission, log, signal, memory } = options;
    const folder = folderOfRun(options.folder, above);
    const run = folder.folder(INNER_FOLDER);
    const below = jobBelow(job, options);
    const objects = new PassedObjects(folder.folder(RELAYED_FOLDER), codecs);
    const relay = new Relay(hub, objects, new PassingBroadcaster({ run, codecs, objects }));
    const record = (await options.openRecord?.({ job: below, run, above })) ?? (() => {});
    const emit: EmitEvent = (event) => {
      relay.#heard(event);
      record(event);
    };
    const { broadcaster } = relay;
    const onAgreed = (fingerprints: Fingerprints) => relay.#agreed(fingerprints);
    const kit = { codecs, filters, broadcaster, onAgreed };
    relay.#inner = await openInnerRun(hub, { ...kit, job: below, run, files, admission, emit, memory, log, signal });
    return relay;
  }

  inner(): InnerRun {
    return this.#inner as InnerRun;
  }

  async listen({ listeners, web, signal, onListening }: RelayOptions): Promise<void> {
    for (const { driver, url } of listeners) onListening((await this.#hub.listen(driver, url, { signal, ...web })).url);
  }

  async tellAbout(task: Task, place: Workplace, { onProgress }: StepReports): Promise<void> {
    const agreed = await this.inner().run.comparison.agreed();
    if (!agreed) return; // the sites have not told yet; `#agreed` follows
    this.#told = agreed;
    await place.tellAbout(task, onProgress);
  }

  async during<T>(task: Task, place: Workplace, reports: StepReports, work: () => Promise<T>): Promise<T> {
    const { board } = this.inner().run;
    this.#current = { task, place, reports, steps: new StepsBelow(reports.onStep) };
    // Progress below is progress here, and nothing else is: a relay whose sites are away is silent.
    let seenMs = performance.now();
    const looks = setInterval(() => {
      const progressedMs = board.progressedMs();
      if (progressedMs > seenMs) reports.onProgress();
      seenMs = progressedMs;
    }, LOOK_MS);
    try {
      return await work();
    } finally {
      clearInterval(looks);
      this.#current = undefined;
    }
  }

  /** Called once before the first training, while all sites wait: the server compares the relays. */
  async #agreed(fingerprints: Fingerprints): Promise<void> {
    const current = this.#current;
    if (!current) return;
    this.#told = fingerprints;
    await current.place.tellAbout(current.task, current.reports.onProgress);
  }

  #heard(event: EventBody): void {
    if (event.type !== 'step' || event.round !== this.#current?.task.round) return;
    this.#current.steps.take(event);
  }
}
