// The rounds of a run, on the server: offer the model, gather the results, reduce, evaluate, write it down, go on.
import type { CodecTable } from '../codec/codec.js';
import type { Logger } from '../core/log.js';
import type { Folder } from '../core/storage.js';
import type { ResultFigures, Task } from '../exchange/task.js';
import { codesWhole } from '../filter/chain.js';
import { type Job, quorumOf, siteNames } from '../job/job.js';
import type { EmitEvent } from '../record/events.js';
import { bestRound, type Evaluated, shouldStop } from '../record/selection.js';
import { elementCount } from '../tensor/dtype.js';
import type { Manifest } from '../tensor/manifest.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Metrics, Trainer } from '../trainer/trainer.js';
import type { Aggregator, Contribution } from '../workflow/aggregator.js';
import { globalModelPath, openGlobalModel, pruneGlobalModels, writeGlobalModel } from './global-models.js';
import { type JournalEntry, readJournal, writeJournal } from './journal.js';
import type { Offer, RoundExchange } from './round-exchange.js';
import type { Outcome, TaskBoard } from './task-board.js';

export interface RoundsOptions {
  readonly job: Job;
  readonly run: Folder;
  readonly codecs: CodecTable;
  readonly board: TaskBoard;
  readonly exchange: RoundExchange;
  readonly aggregator: Aggregator;
  /** Evaluates the global model on the server's own held-out data; without it the sites do, on theirs. */
  readonly evaluator?: Trainer;
  readonly emit: EmitEvent;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface RoundsResult {
  readonly lastRound: number;
  /** The round of the best model; the last one where nothing was evaluated. */
  readonly bestRound: number;
  readonly reason: string;
}

/** Runs what is left of the job; what the journal says is done is not done again. */
export async function runRounds(options: RoundsOptions): Promise<RoundsResult> {
  const { job, run, signal } = options;
  const history = await readJournal(run);
  if (history.length === 0) await finishRound(options, history, await evaluateHere(options, 0));
  let reason = 'all rounds are done';
  while ((history.at(-1) as JournalEntry).round < job.rounds) {
    signal.throwIfAborted();
    if (shouldStop(evaluated(history), job)) {
      reason = `no better ${job.selection} for ${job.earlyStop?.patience} rounds`;
      break;
    }
    await runRound((history.at(-1) as JournalEntry).round + 1, history, options);
  }
  if (!options.evaluator) await evaluateAtSites(history, options);
  const lastRound = (history.at(-1) as JournalEntry).round;
  return { lastRound, bestRound: bestRound(evaluated(history), job)?.round ?? lastRound, reason };
}

async function runRound(round: number, history: JournalEntry[], options: RoundsOptions): Promise<void> {
  const { job, run, exchange, emit, log } = options;
  const startedMs = performance.now();
  emit({ type: 'round-started', round });
  const previous = await openGlobalModel(run, round - 1);
  let offer = await exchange.offer(round, previous);
  if (round === 1 && !offer.exact) offer = await evaluateStart(offer, previous, history, options);
  const { results, model, exact } = offer;
  const task = { kind: 'train', round, rounds: job.rounds, model, evaluate: !options.evaluator } as const;
  const outcomes = await gather(round, task, options, results);
  const done = outcomes.filter((outcome) => outcome.status === 'done');
  const contributions: Contribution[] = [];
  for (const { site, result } of done) contributions.push({ site, samples: result.samples, ...(await exchange.result(round, site)) });
  log.info({ round, sites: contributions.length }, 'reducing');
  const reduceMs = performance.now();
  await writeGlobalModel(run, round, options.aggregator(contributions, previous));
  const reduceSeconds = (performance.now() - reduceMs) / 1000;
  await previous.close?.();
  if (options.evaluator) await finishRound(options, history, await evaluateHere(options, round));
  else {
    const evaluation = siteMean(outcomes);
    const ofStart = round === 1 && !exact;
    if (ofStart && evaluation) tellOfStart(evaluation, history, options);
    await finishRound(options, history, ...(ofStart ? [] : [{ round: round - 1, evaluation }]), { round });
  }
  await exchange.release();
  emit({ type: 'round-finished', round, seconds: (performance.now() - startedMs) / 1000, reduceSeconds, ...exchange.traffic });
}

/**
 * The figures of the model that the run was given: uncoded, whoever evaluates. Where the sites begin with something else, they are sent the model itself
 * once to evaluate it, and what they begin with is evaluated beside it.
 */
async function evaluateStart(offer: Offer, model: StateDict, history: JournalEntry[], options: RoundsOptions): Promise<Offer> {
  const { job, exchange, evaluator, signal } = options;
  if (evaluator) {
    const held = exchange.held && (await evaluator.evaluate(exchange.held, signal));
    if (held) tellOfStart(held, history, options);
  }
  // Without an evaluation no site was asked to train yet, so there is nothing of the round to lose.
  if (evaluator || history[0]?.evaluation || offer.results.size > 0) return offer;
  await exchange.release();
  const { results, model: exactly } = await exchange.offerExactly(model);
  const task = { kind: 'evaluate', round: 0, rounds: job.rounds, model: exactly, evaluate: true } as const;
  await finishRound(options, history, { round: 0, evaluation: siteMean(await gather(0, task, options, results)) });
  await exchange.release();
  return exchange.offer(1, model);
}

/** A start that is worse than the model by more than this is worth a word. */
const WORSE_START = 0.005;

function tellOfStart(held: Metrics, history: readonly JournalEntry[], { emit, log, job }: RoundsOptions): void {
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

/** Posts the task to every site and waits for the quorum; sites that fell out are told to the log and the events. */
async function gather(
  round: number,
  task: Omit<Task, 'id'>,
  options: RoundsOptions,
  known: ReadonlyMap<string, ResultFigures>,
): Promise<Outcome[]> {
  const { job, board, emit, log, signal } = options;
  const sites = siteNames(job);
  for (const site of sites) {
    const result = known.get(site);
    if (result) log.info({ round, site }, 'its result is here already');
    board.post(site, { ...task, id: `${task.kind}-${round}-${site}` }, result);
  }
  const outcomes = await board.gather(sites, { quorum: quorumOf(job), stragglerMs: job.stragglerMs, reconnectMs: job.idleMs, signal });
  for (const outcome of outcomes) {
    if (outcome.status === 'done') continue;
    const message = `round ${round} goes on without ${outcome.site}: ${outcome.reason}`;
    log.warn({ round, site: outcome.site }, message);
    emit({ type: 'warning', message });
  }
  return outcomes;
}

/** The journal line is what makes a round finished; models that no line needs are removed after it. */
async function finishRound(options: RoundsOptions, history: JournalEntry[], ...found: readonly Figures[]): Promise<void> {
  const { run, job, emit } = options;
  for (const { round, evaluation } of found) {
    const known = history.findIndex((old) => old.round === round);
    history.splice(known < 0 ? history.length : known, 1, { round, model: globalModelPath(round), evaluation });
  }
  await writeJournal(run, history);
  for (const { round, evaluation } of found) if (evaluation) emit({ type: 'evaluation', round, ...evaluation });
  const best = bestRound(evaluated(history), job)?.round;
  const last = (history.at(-1) as JournalEntry).round;
  await pruneGlobalModels(run, best === undefined ? [last] : [last, best], await options.exchange.needs());
}

/** A round, and what was found of its model. */
interface Figures {
  readonly round: number;
  readonly evaluation?: Metrics;
}

async function evaluateHere({ evaluator, run, signal }: RoundsOptions, round: number): Promise<Figures> {
  if (!evaluator) return { round };
  const model = await openGlobalModel(run, round);
  try {
    return { round, evaluation: await evaluator.evaluate(model, signal) };
  } finally {
    await model.close?.();
  }
}

/** One more broadcast, so that the last model has figures too. */
async function evaluateAtSites(history: JournalEntry[], options: RoundsOptions): Promise<void> {
  const { job, run, exchange } = options;
  const last = history.at(-1) as JournalEntry;
  if (last.evaluation || last.round === 0) return;
  const model = await openGlobalModel(run, last.round);
  const { results, model: offered } = await exchange.offer(last.round + 1, model, last.round);
  const task = { kind: 'evaluate', round: last.round, rounds: job.rounds, model: offered, evaluate: true } as const;
  const outcomes = await gather(last.round, task, options, results);
  await finishRound(options, history, { round: last.round, evaluation: siteMean(outcomes) });
  await exchange.release();
  await model.close?.();
}

/** Figures of the sites' evaluations, weighted by their samples; undefined where no site has held-out data. */
function siteMean(outcomes: readonly Outcome[]): Metrics | undefined {
  let samples = 0;
  let loss = 0;
  let exactMatch: number | undefined = 0;
  for (const outcome of outcomes) {
    const figures = outcome.status === 'done' ? outcome.result.evaluation : undefined;
    if (!figures) continue;
    samples += figures.samples;
    loss += figures.loss * figures.samples;
    // Known of all sites, or of none.
    exactMatch =
      figures.exactMatch === undefined || exactMatch === undefined ? undefined : exactMatch + figures.exactMatch * figures.samples;
  }
  return samples === 0
    ? undefined
    : { loss: loss / samples, exactMatch: exactMatch === undefined ? undefined : exactMatch / samples, samples };
}

function evaluated(history: readonly JournalEntry[]): Evaluated[] {
  return history.flatMap(({ round, evaluation }) => (evaluation ? [{ round, metrics: evaluation }] : []));
}

/** Bytes of the tensors in float32: what every ratio is against. */
export function float32Bytes(manifest: Manifest): number {
  let elements = 0;
  for (const tensor of manifest.tensors) elements += elementCount(tensor.shape);
  return elements * 4;
}
