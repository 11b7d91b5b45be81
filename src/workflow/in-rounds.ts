// The part that workflows in rounds share: an initial model, figures of every model, and an early
// end.
import { codesWhole } from '../filter/chain.js';
import { evaluatedOf, shouldStop } from '../record/selection.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Metrics } from '../trainer/trainer.js';
import { chooseStart } from './choose-start.js';
import type { Federation, Offer, Outcome, Step } from './federation.js';
import { takeInitialModel } from './initial-model.js';
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
}

/**
 * Runs the remaining rounds of the job; committed rounds are not repeated. Returns why the run
 * ended.
 */
export async function inRounds(federation: Federation, round: (input: RoundInput) => Promise<RoundResult>): Promise<string> {
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
    await oneRound(federation, round);
  }
  if (!federation.evaluate) await evaluateLast(federation);
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
  const { model, outcomes } = await run({ round, offer, previous, evaluate });
  const written = await models.write('model', model);
  await model.close?.();
  await previous.close?.();
  await written.close?.();
  if (!evaluate) await federation.commit({ evaluation: await evaluateHere(federation) });
  else {
    const evaluation = siteMean(outcomes, federation.job.weights);
    if (round === 1 && !offer.exact) tellOfStart(evaluation, federation);
    else await federation.note(round - 1, evaluation);
    await federation.commit();
  }
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

function tellOfStart(held: Metrics | undefined, { emit, log, job, history }: Federation): void {
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

async function evaluateHere({ evaluate, models }: Federation): Promise<Metrics | undefined> {
  if (!evaluate) return undefined;
  const model = await models.open('model');
  try {
    return await evaluate(model);
  } finally {
    await model.close?.();
  }
}

/** Makes one more offer, so that the last model has figures too. */
async function evaluateLast(federation: Federation): Promise<void> {
  const { round, evaluation } = lastOf(federation.history);
  if (evaluation || round === 0) return;
  const outcomes = await federation.gather({ kind: 'evaluate', offer: await federation.offer(), evaluate: true, round });
  await federation.note(round, siteMean(outcomes, federation.job.weights));
}

function lastOf(history: readonly Step[]): Step {
  return history.at(-1) as Step;
}
