// Runs the steps of one epoch: a fresh site, a server that says what the seed says, and then an
// honest one, with which the site must finish its job.
import { type Random, randomStream } from '../../../src/core/random.js';
import { chance, pick, weighted } from './chance.js';
import type { Finding, Findings } from './findings.js';
import { answer, answerSteps } from './site-answers.js';
import type { SiteObjects } from './site-objects.js';
import type { SitePeer } from './site-peer.js';
import { greet, siteSessionSteps } from './site-sessions.js';
import type { SiteScene, SiteStep } from './site-step.js';
import { siteStreamSteps, streamOn, takeResult } from './site-streams.js';
import { MOST_RETRY_MS, type SiteSetting, SiteWorld } from './site-world.js';
import type { Time } from './time.js';
import type { Unforeseen } from './unforeseen.js';
import type { Watchdog } from './watchdog.js';

/** The server does what is due: sends on, takes a result, answers the oldest request. */
const work: SiteStep = {
  name: 'work',
  weight: 40,
  run: async (scene, peer) => {
    if (await streamOn(peer)) return;
    if (takeResult(scene, peer)) return;
    const [request] = peer.asked;
    if (request) answer(scene, peer, request, GOOD);
  },
};
/** Share of right answers to requests. */
const GOOD = 0.8;

const STEPS: readonly SiteStep[] = [work, ...answerSteps, ...siteStreamSteps, ...siteSessionSteps];
/** Share of the steps after which the site is given no time. */
const AT_ONCE = 0.3;
/** Milliseconds of the clock after a step, and while nobody is connected. */
const STEP_MS = 5;
const PAUSE_MS = 300;
const TICK_MS = 25;
const FOLDER_EVERY = 10;
const MOST_FINISH_MS = 60_000;

export interface SiteEpoch {
  readonly seed: number;
  readonly number: number;
  readonly setting: SiteSetting;
  /** Numbers of the steps, ascending; a shorter list replays a part of the epoch. */
  readonly steps: readonly number[];
}

export interface SiteTools {
  readonly objects: SiteObjects;
  readonly findings: Findings;
  readonly unforeseen: Unforeseen;
  readonly time: Time;
  readonly watchdog: Watchdog;
  /** Resolves once the site has done all that it can do without the clock. */
  settle(): Promise<void>;
}

export interface SiteEpochResult {
  readonly failure: (Finding & { readonly step: number }) | undefined;
  /** The digest of the model that the honest run ends with. */
  readonly digest: string | undefined;
}

export async function runSiteEpoch(epoch: SiteEpoch, tools: SiteTools): Promise<SiteEpochResult> {
  return new SiteMachine(epoch, tools).run();
}

class SiteMachine {
  readonly #epoch: SiteEpoch;
  readonly #tools: SiteTools;
  readonly #world: SiteWorld;
  #deafMs = 0;
  #step = -1;

  constructor(epoch: SiteEpoch, tools: SiteTools) {
    this.#epoch = epoch;
    this.#tools = tools;
    const trainers = randomStream(epoch.seed, 'trainer', epoch.number);
    this.#world = new SiteWorld(epoch.setting, tools.objects, tools.findings, trainers);
  }

  async run(): Promise<SiteEpochResult> {
    const world = this.#world;
    if (this.#epoch.steps.length > 0) {
      await world.listen();
      world.start();
      await this.#tools.settle();
    }
    for (const step of this.#epoch.steps) {
      this.#step = step;
      this.#tools.watchdog.beat(this.#epoch.number, step);
      await this.#one(randomStream(this.#epoch.seed, 'site', this.#epoch.number, step), step);
      if (this.#failed) break;
    }
    let digest: string | undefined;
    if (!this.#failed) digest = await world.finish(() => this.#pass(TICK_MS), MOST_FINISH_MS);
    const failure = this.#taken();
    await this.#close();
    return { failure: failure && { ...failure, step: this.#step }, digest };
  }

  get #failed(): boolean {
    return this.#tools.findings.found.length > 0 || this.#tools.unforeseen.any;
  }

  #taken(): Finding | undefined {
    return [...this.#tools.unforeseen.taken(), ...this.#tools.findings.found.splice(0)][0];
  }

  async #one(random: Random, step: number): Promise<void> {
    const world = this.#world;
    const { findings, settle } = this.#tools;
    if (!world.isListening && chance(random, 0.3)) await world.listen();
    if (!world.isRunning && chance(random, 0.7)) world.start();
    for (let i = world.peers.length - 1; i >= 0; i--) if (world.peers[i]?.ended) world.peers.splice(i, 1);
    let waitMs = STEP_MS;
    const pass = (ms: number): void => {
      waitMs += ms;
    };
    const peer = world.peers.at(-1);
    if (!peer) waitMs = PAUSE_MS;
    else await this.#say({ world, random, findings, pass }, peer);
    if (waitMs > STEP_MS || !chance(random, AT_ONCE)) {
      await settle();
      await this.#pass(waitMs);
      await settle();
    }
    if (step % FOLDER_EVERY === 0) await world.checkFolder();
  }

  async #say(scene: SiteScene, newest: SitePeer): Promise<void> {
    const { random, world, findings } = scene;
    const peer = chance(random, 0.9) ? newest : pick(random, world.peers);
    if (!peer.greeted && chance(random, 0.95)) return greet(scene, peer);
    const step = weighted(random, STEPS) as SiteStep;
    findings.count(`step ${step.name}`);
    await step.run(scene, peer);
  }

  /** The clock goes on; a site whose server is gone for long has given up. */
  async #pass(ms: number): Promise<void> {
    const world = this.#world;
    await this.#tools.time.pass(ms);
    this.#deafMs = world.isListening || !world.isRunning ? 0 : this.#deafMs + ms;
    if (this.#deafMs <= MOST_RETRY_MS || world.isHonest) return;
    this.#tools.findings.add('the site does not give up', `its server is gone for ${this.#deafMs} ms`);
  }

  async #close(): Promise<void> {
    let isOver = false;
    const closing = this.#world.deafen().then(() => this.#world.stop());
    void closing.finally(() => {
      isOver = true;
    });
    for (let left = MOST_FINISH_MS; !isOver && left > 0; left -= TICK_MS) await this.#pass(TICK_MS);
    if (!isOver) this.#tools.findings.add('the site does not stop', 'it was told to');
    this.#taken();
  }
}
