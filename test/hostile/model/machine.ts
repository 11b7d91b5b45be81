// Runs the steps of one epoch: a fresh run of a job, honest sites, and insiders that say what
// the seed says.
import { randomStream } from '../../../src/core/random.js';
import { chance, pick, weighted } from './chance.js';
import { checkInsider } from './expectations.js';
import { type Finding, Findings } from './findings.js';
import { workSteps } from './good-work.js';
import type { Insider } from './insider.js';
import { objectSteps } from './object-streams.js';
import { LARGE_REQUESTS, requestSteps } from './requests.js';
import { resultSteps } from './result-streams.js';
import { type ResultObject, resultObjects } from './results.js';
import { beginSteps, sessionSteps } from './sessions.js';
import type { Scene, Step } from './step.js';
import type { Time } from './time.js';
import type { Unforeseen } from './unforeseen.js';
import type { Watchdog } from './watchdog.js';
import { HONEST, INSIDERS, type Place, type Setting, World } from './world.js';

const STEPS: readonly Step[] = [...workSteps, ...requestSteps, ...resultSteps, ...objectSteps, ...sessionSteps];
/** While requests wait for the first task, more of them are large. */
const STEPS_FIRST: readonly Step[] = STEPS.map((step) => (step.name === LARGE_REQUESTS ? { ...step, weight: 0.15 } : step));
/** Before the honest sites join, so that requests wait for the first task. */
const STEPS_BEFORE = 200;
const STEPS_A_ROUND = 150;
/** After the end of the run, while the server waits for its sites to leave. */
const STEPS_AFTER = 100;
/** Share of the steps after which the server is given no time. */
const AT_ONCE = 0.4;
/** Milliseconds of the clock that a step takes. */
const STEP_MS = 1;
/** The clock goes on by so much at least. */
const LEAST_MS = 10;
/** … and by so much while the end of something is awaited. */
const TICK_MS = 25;
/** Bytes of the log, or of events, that a step may cause on average, and a round. */
const MOST_BYTES_A_STEP = 400;
const MOST_BYTES_A_ROUND = 20_000;
/** A step that keeps the process busy for longer is a hang. */
const MOST_BUSY_MS = 20_000;

export interface Epoch {
  readonly seed: number;
  readonly number: number;
  readonly setting: Setting;
  /** Numbers of the steps, ascending; a shorter list replays a part of the epoch. */
  readonly steps: readonly number[];
  readonly rounds: number;
}

export interface EpochResult {
  /** The first finding and the step after which it was there. */
  readonly failure: (Finding & { readonly step: number }) | undefined;
  /** The steps that were done: fewer than there are where the run ends before them. */
  readonly done: number;
  readonly digests: readonly string[];
  /** Bytes that were still held once insiders of the waiting run had left. */
  readonly heldBytes: number;
}

export interface Tools {
  readonly findings: Findings;
  readonly unforeseen: Unforeseen;
  readonly time: Time;
  readonly place: Place;
  readonly watchdog?: Watchdog;
  /** Bytes in use after a collection of garbage. */
  usedBytes(): Promise<number>;
}

export async function runEpoch(epoch: Epoch, tools: Tools): Promise<EpochResult> {
  return new Machine(epoch, tools).run();
}

class Machine {
  readonly #epoch: Epoch;
  readonly #tools: Tools;
  readonly #insiders: Insider[] = [];
  #objects: readonly ResultObject[] = [];
  #joined = false;
  #nextGate = Number.POSITIVE_INFINITY;
  #seenRound = 0;
  #roundMs = 0;
  #heldBytes = 0;
  #step = -1;
  #done = 0;
  /**
   * Milliseconds of the clock that have passed since the epoch began, and those that insiders let
   * pass.
   */
  #passedMs = 0;
  #laterMs = 0;

  constructor(epoch: Epoch, tools: Tools) {
    this.#epoch = epoch;
    this.#tools = tools;
  }

  async run(): Promise<EpochResult> {
    const { setting, rounds } = this.#epoch;
    const { findings } = this.#tools;
    this.#objects = await resultObjects(setting.shapes);
    const open = { setting, rounds, insiders: INSIDERS, place: this.#tools.place, findings };
    const world = await World.open(open);
    await this.#steps(world);
    if (!this.#failed) await this.#finish(world);
    let failure = this.#taken();
    await this.#close(world);
    failure ??= this.#taken();
    return { failure: failure && { ...failure, step: this.#step }, done: this.#done, digests: world.digests, heldBytes: this.#heldBytes };
  }

  /** The first finding; all are forgotten. */
  #taken(): Finding | undefined {
    return [...this.#tools.unforeseen.taken(), ...this.#tools.findings.found.splice(0)][0];
  }

  get #failed(): boolean {
    return this.#tools.findings.found.length > 0 || this.#tools.unforeseen.any;
  }

  async #steps(world: World): Promise<void> {
    const used = this.#epoch.steps.length > 0 ? await this.#tools.usedBytes() : 0;
    let isSettled = true;
    let after = 0;
    for (const step of this.#epoch.steps) {
      this.#step = step;
      this.#done++;
      this.#tools.watchdog?.beat(this.#epoch.number, step);
      if (!this.#joined && step >= STEPS_BEFORE) await this.#join(world, used);
      if (isSettled) await this.#pass(world, step);
      const random = randomStream(this.#epoch.seed, 'model', this.#epoch.number, step);
      const beganMs = Date.now();
      await this.#one(world, random, isSettled);
      isSettled = !chance(random, AT_ONCE);
      if (isSettled) await this.#settle(world);
      const busyMs = Date.now() - beganMs;
      if (busyMs > MOST_BUSY_MS) this.#tools.findings.add('a step kept the process busy', `${busyMs} ms`);
      if (this.#failed) return;
      if (world.watch.stopped.reason !== undefined && ++after > STEPS_AFTER) return;
    }
  }

  /** One step of one insider, or a new connection. */
  async #one(world: World, random: Scene['random'], isSettled: boolean): Promise<void> {
    const { findings } = this.#tools;
    let waitMs = 0;
    const pass = (ms: number): void => {
      waitMs += ms;
    };
    // A run begins without its honest sites if as many others are there as it needs.
    const sites = this.#joined ? INSIDERS : INSIDERS.slice(0, 1);
    const scene: Scene = { world, sites, random, findings, insiders: this.#insiders, objects: this.#objects, settled: isSettled, pass };
    const live = this.#insiders.filter(({ ended, reading, mustEnd }) => !ended && reading && mustEnd === undefined);
    const begins = live.length === 0 || chance(random, 0.06);
    const step = begins ? (beginSteps[0] as Step) : (weighted(random, this.#joined ? STEPS : STEPS_FIRST) as Step);
    findings.count(`step ${step.name}`);
    // A peer that does not read goes on asking now and then, or reads again.
    const still = this.#insiders.filter(({ ended, reading }) => !ended && !reading);
    if (still.length > 0 && chance(random, 0.05)) pick(random, still).resumeReading();
    const others = still.length > 0 && chance(random, 0.2) ? still : live;
    await step.run(scene, begins ? (undefined as never) : pick(random, others));
    this.#laterMs += waitMs;
  }

  /** Lets the server take in everything, then checks the state that it is in. */
  async #settle(world: World): Promise<void> {
    const { findings, time } = this.#tools;
    const check = (to: Findings): void => {
      for (const insider of this.#insiders) checkInsider(insider, this.#insiders, world, to, this.#epoch.setting.idleMs);
    };
    await time.settle(() => {
      const owed = new Findings();
      check(owed);
      return owed.found.length === 0;
    });
    check(findings);
    for (let i = this.#insiders.length - 1; i >= 0; i--) if (this.#insiders[i]?.ended) this.#insiders.splice(i, 1);
  }

  /** The clock goes on to where it is at this step, and rounds with it. */
  async #pass(world: World, step: number): Promise<void> {
    const ms = step * STEP_MS + this.#laterMs - this.#passedMs;
    if (ms < LEAST_MS) return;
    this.#passedMs += ms;
    await this.#tools.time.pass(ms);
    if (world.round !== this.#seenRound) {
      this.#seenRound = world.round;
      this.#nextGate = step + STEPS_A_ROUND;
      this.#roundMs = performance.now();
    }
    if (step >= this.#nextGate) {
      this.#nextGate = Number.POSITIVE_INFINITY;
      this.#roundMs = performance.now();
      world.open(world.round);
    }
    const isOpen = this.#joined && (world.round === 0 || world.opened.round >= world.round) && world.watch.stopped.reason === undefined;
    const roundMs = performance.now() - this.#roundMs;
    if (isOpen && roundMs > this.#tools.time.mostRoundMs + ms)
      this.#tools.findings.add('a round is held up', `round ${world.round} for ${roundMs} ms`);
  }

  async #join(world: World, used: number): Promise<void> {
    await this.#leave();
    if (used > 0) this.#heldBytes = (await this.#tools.usedBytes()) - used;
    this.#joined = true;
    this.#roundMs = performance.now();
    world.join();
    await this.#turn();
  }

  /** All insiders leave. */
  async #leave(): Promise<void> {
    for (const insider of this.#insiders) await insider.close();
    await this.#turn();
    this.#insiders.length = 0;
  }

  /** The honest sites finish the job. */
  async #finish(world: World): Promise<void> {
    if (!this.#joined) await this.#join(world, 0);
    await this.#settle(world);
    await this.#leave();
    world.open(Number.POSITIVE_INFINITY);
    const { findings, time } = this.#tools;
    const endMs = performance.now() + time.mostRoundMs * (this.#epoch.rounds + 3);
    while (performance.now() < endMs && !world.result && !this.#failed) await time.pass(TICK_MS);
    findings.check(world.result !== undefined || this.#failed, 'the run does not end', () => `it is in round ${world.round}`);
    findings.check(world.result === undefined || world.result.lastRound === this.#epoch.rounds, 'the run ended early', () =>
      JSON.stringify(world.result),
    );
    await world.checkFiles();
    const most = MOST_BYTES_A_STEP * this.#epoch.steps.length + MOST_BYTES_A_ROUND * this.#epoch.rounds;
    for (const what of ['log', 'events'] as const)
      findings.check(
        world[what].bytes < most,
        `the ${what} grew without bound`,
        () => `${world[what].bytes} bytes in ${world[what].lines} lines`,
      );
    for (const site of HONEST) findings.check(!world.watch.open(site), 'a task was left', () => site);
  }

  async #close(world: World): Promise<void> {
    await this.#leave();
    const closing = world.close();
    let isOver = false;
    void closing.then(() => {
      isOver = true;
    });
    while (!isOver) await this.#tools.time.pass(TICK_MS);
  }

  #turn(): Promise<void> {
    return this.#tools.time.settle(() => true);
  }
}
