// The part that workflows in rounds share: an initial model, figures of every model, and an early
// end.
import { codesWhole } from '../filter/chain.js';
import { evaluatedOf, shouldStop } from '../record/selection.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Metrics } from '../trainer/trainer.js';
import { chooseStart } from './choose-start.js';
import { crossSite, keepLocals } from './cross-site.js';
import type { Federation, Offer, Outcome, Step } from './federation.js';
import { takeInitialModel } from './initial-model.js';
import { weightsIn } from './sample.js';
import { siteMean } from './site-mean.js';
import { integersNotice } from './tell-integers.js';

/** The input of one round of a workflow. */
export interface RoundInput {
  /** Counted from 1. */
  readonly round: number;
  readonly offer: Offer;
  /** The last global model, float32. */
  readonly previous: StateDict;
  /** True where the sites are to evaluate the offered model because the server cannot. */
  readonly evaluate: boolean;
}

/** The result of one round of a workflow. */
export interface RoundResult {
  /** The next global model; lazy, read once. */
  readonly model: StateDict;
  /** Answers that may carry figures of the offered model. */
  readonly outcomes: readonly Outcome[];
  /**
   * The round at whose end the models of the sites' own stand that were evaluated: by default the one
   * before, whose model they were given.
   */
  readonly personalRound?: number;
  /** Answers with what sites have trained, where those are others than `outcomes`. */
  readonly trained?: readonly Outcome[];
}

/**
 * Runs the remaining rounds of the job; committed rounds are not repeated. Returns why the run
 * ended.
 */
export function inRounds(federation: Federation, round: (input: RoundInput) => Promise<RoundResult>): Promise<string> {
  return everyRound(federation, { round: () => oneRound(federation, round), evaluateLast: () => evaluateLast(federation) });
}

/** The steps of a workflow that makes its offers and commits itself. */
export interface Rounds {
  /** Runs a round and commits it. */
  round(): Promise<void>;
  /** Called at the end: asks the sites for figures that are still missing. */
  evaluateLast(): Promise<void>;
}

/** As `inRounds`, for a workflow whose rounds are its own. */
export async function everyRound(federation: Federation, { round, evaluateLast }: Rounds): Promise<string> {
  const { job, history, signal } = federation;
  await takeInitialModel(federation);
  if (history.length === 0) await tellOfIntegers(federation);
  if (history.length === 0) await federation.commit({ evaluation: await evaluateHere(federation) });
  let reason = 'all rounds are done';
  while (lastOf(history).round < job.rounds) {
    signal.throwIfAborted();
    if (shouldStop(evaluatedOf(history), job)) {
      reason = `no better ${job.selection} for ${job.earlyStop?.patience} rounds`;
      break;
    }
    await round();
  }
  await evaluateLast();
  return reason;
}

async function tellOfIntegers({ models, job, log, emit }: Federation): Promise<void> {
  if (!(await models.names()).includes('model')) return;
  const model = await models.open('model');
  const message = integersNotice(model.manifest, job.integers);
  await model.close?.();
  if (message === undefined) return;
  log.warn({}, message);
  emit({ type: 'warning', message });
}

async function oneRound(federation: Federation, run: (input: RoundInput) => Promise<RoundResult>): Promise<void> {
  const { round, models } = federation;
  federation.emit({ type: 'round-started', round });
  const offer = round === 1 ? await begin(federation) : await federation.offer();
  const previous = await models.open('model');
  const evaluate = federation.evaluate === undefined;
  const { model, outcomes, trained = outcomes, personalRound = round - 1 } = await run({ round, offer, previous, evaluate });
  const written = await models.write('model', model);
  await model.close?.();
  await previous.close?.();
  await written.close?.();
  tellPersonal(outcomes, personalRound, federation);
  if (evaluate) {
    const figures = siteMean(outcomes, weightsIn(federation.job, federation.sample()));
    if (round === 1 && !offer.exact) tellOfStart(figures, federation);
    else await federation.note(round - 1, figures);
  }
  const evaluation = await evaluateHere(federation);
  if (federation.job.crossSiteEvaluation && isLast(round, evaluation, federation)) await keepLocals(trained, offer, federation);
  await federation.commit(evaluation && { evaluation });
}

/** True where the run ends with this round, by the job or for want of a better model. */
function isLast(round: number, evaluation: Metrics | undefined, { job, history }: Federation): boolean {
  return round === job.rounds || shouldStop(evaluatedOf([...history, { round, evaluation }]), job);
}

function tellPersonal(outcomes: readonly Outcome[], round: number, federation: Federation): void {
  const figures = siteMean(outcomes, weightsIn(federation.job, federation.sample()), 'personal');
  if (figures) federation.emit({ type: 'personal-evaluation', round, ...figures });
}

/**
 * Makes the first offer. The figures of the initial model are always those of the model as it was
 * given. Where the sites begin with something else, they are sent the model itself once to evaluate
 * it, and the model that they begin with is evaluated beside it.
 */
async function begin(federation: Federation): Promise<Offer> {
  const { evaluate } = federation;
  const offer = await federation.offer({ first: await chooseStart(federation) });
  if (offer.exact) return offer;
  if (evaluate) tellOfStart(await evaluate(offer.held), federation);
  else {
    const exactly = await federation.offer({ exactly: 'sent' });
    const outcomes = await federation.gather({ kind: 'evaluate', offer: exactly, evaluate: true, round: 0 });
    await federation.note(0, siteMean(outcomes, federation.job.weights));
  }
  return offer;
}

/** A warning is due where the start's loss exceeds the model's by more than this share. */
const WORSE_START = 0.005;

/** Tells how good the model is that the sites begin with, and warns where coding has made it worse. */
export function tellOfStart(held: Metrics | undefined, { emit, log, job, history }: Federation): void {
  if (!held) return;
  emit({ type: 'evaluation', round: 0, ...held, held: true });
  const loss = history[0]?.evaluation?.loss;
  if (loss === undefined || held.loss <= loss * (1 + WORSE_START)) return;
  const percent = (100 * (held.loss / loss - 1)).toFixed(1);
  const mend = codesWhole(job)
    ? 'send updates instead of whole weights: "quantize": "u4"'
    : 'begin with the model as it is: "quantize": {"first": "base"}, or "bf16"';
  const message = `the sites begin with a model that coding has made worse: loss ${held.loss.toFixed(4)} instead of ${loss.toFixed(4)} (+${percent} %); ${mend}`;
  log.warn({ loss, held: held.loss }, message);
  emit({ type: 'warning', message });
}

/** Figures of the global model on the server's own data; undefined where it has none. */
export async function evaluateHere({ evaluate, models }: Federation): Promise<Metrics | undefined> {
  if (!evaluate) return undefined;
  const model = await models.open('model');
  try {
    return await evaluate(model);
  } finally {
    await model.close?.();
  }
}

/** Makes one more offer, so that the last model has figures of the sites, too, where they are wanted. */
async function evaluateLast(federation: Federation): Promise<void> {
  const { job, history } = federation;
  const { round, evaluation, bySite } = lastOf(history);
  const lacks = !federation.evaluate && !evaluation;
  const crosses = job.crossSiteEvaluation && !bySite;
  if (round === 0 || !(lacks || crosses)) return;
  const options = lacks ? {} : { quorum: 0 };
  const outcomes = await federation.gather({ kind: 'evaluate', offer: await federation.offer(), evaluate: true, round }, options);
  if (lacks) await federation.note(round, siteMean(outcomes, job.weights));
  if (crosses) await crossSite(federation, outcomes);
}

function lastOf(history: readonly Step[]): Step {
  return history.at(-1) as Step;
}
