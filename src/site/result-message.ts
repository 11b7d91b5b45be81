// A site's result as a message: its filters in order, then an update coded together with the last
// residual, or whole weights.
import type { CodecTable, EncodeReport } from '../codec/codec.js';
import { inFloat32 } from '../codec/float32.js';
import { decodeModel, encodeModel } from '../codec/quantize.js';
import type { Table } from '../core/row.js';
import { writeCodedSum } from '../exchange/coded-sum.js';
import { codedExtras } from '../exchange/extras-coding.js';
import { dtypesOf, policyEncoding } from '../exchange/message-coding.js';
import { paddedTo } from '../exchange/padded.js';
import type { Addend } from '../exchange/sum-chunks.js';
import type { Task } from '../exchange/task.js';
import { builtInFiltersWith } from '../filter/built-in.js';
import { ownFilters, sendsUpdates } from '../filter/chain.js';
import { feedbackFor } from '../filter/coding.js';
import { applyFilters, type Filter, type FilterContext } from '../filter/filter.js';
import { converted, sentSubject } from '../filter/order.js';
import { codesAny } from '../filter/policy.js';
import { asUpdate } from '../filter/update.js';
import type { Job } from '../job/job.js';
import { combine } from '../tensor/combine.js';
import { sameTensors } from '../tensor/manifest-equality.js';
import { joinDicts, type NamedDicts } from '../tensor/named-dicts.js';
import { tensorsOf } from '../tensor/select-tensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import { RESIDUAL_DTYPE, type Residuals } from './residuals.js';
import type { WriteResult } from './server-link.js';

/** Options of `resultMessage`. */
export interface ResultMessageOptions {
  readonly task: Task;
  readonly job: Job;
  readonly site: string;
  readonly codecs: CodecTable;
  readonly residuals: Residuals;
  /**
   * State dicts beside the model, as the trainer returned them. The filters on results do not see
   * them.
   */
  readonly extras?: NamedDicts | undefined;
  /**
   * The filters of the site's owner, each on updates or on either subject; they follow those of the
   * job.
   */
  readonly siteFilters?: readonly Filter[];
  /** The filters that the job may name; by default the built-in ones. */
  readonly table?: Table<Filter> | undefined;
  /** Called with numbers for the round's metrics: `saturated`, … */
  count(name: string, amount: number): void;
  /** Called with the numbers that the owner's filters count; they stay at the site. */
  note?(name: string, amount: number): void;
}

/**
 * Prepares a result for sending: the job's filters on the model → delta → the job's filters on the
 * update → the site owner's filters → the residual is added, and every promised bound is enforced
 * again → code. For a job that sends whole weights, the given model is subtracted before the
 * filters on the update and added again after them.
 *
 * Lazy: nothing is read before the message is sent. `trained` may have any float dtypes; the
 * message is float32.
 */
export async function resultMessage(trained: StateDict, given: StateDict, options: ResultMessageOptions): Promise<StateDict | WriteResult> {
  const { task, job, site, codecs, siteFilters = [], count, note = () => {} } = options;
  const { table = builtInFiltersWith(codecs) } = options;
  const context: FilterContext = { point: 'result-out', site, round: task.round, codecs, reference: given, count };
  const own = ownFilters(job, 'result-out', table);
  const filters = [...own, ...siteFilters.map((filter) => heardBy(note, filter))];
  const bounds = [...own, ...siteFilters].filter((filter) => filter.on === 'update' && filter.bounds);
  const extras = await codedExtras(options.extras ?? {}, 'result-out', { job, codecs, filters: table, site, round: task.round });
  const message = (model: StateDict): StateDict => joinDicts({ model, ...extras });
  if (sendsUpdates(job, codecs)) return updateWriter(trained, given, { ...options, context, filters, bounds, message });
  const filtered = inFloat32(await applyFilters(trained, converted(filters, 'model', sentSubject(job, codecs, table)), context));
  if (!codesAny(job.quantize.up, codecs)) return message(filtered);
  const encodingFor = policyEncoding(job.quantize.up, dtypesOf(given.manifest), codecs);
  const coded = encodeModel(decodeModel(filtered, codecs), encodingFor, codecs, (_, report) => countSaturated(report, count));
  return message(coded);
}

interface UpdateOptions extends ResultMessageOptions {
  readonly context: FilterContext;
  readonly filters: readonly Filter[];
  /** Those of the filters that promise a bound. */
  readonly bounds: readonly Filter[];
  /** Makes the whole message of a coded update, by joining the trainer's extras to it. */
  readonly message: (model: StateDict) => StateDict;
}

/** Codes an update into a spool, and keeps the residual for the next update. */
async function updateWriter(trained: StateDict, given: StateDict, options: UpdateOptions): Promise<WriteResult> {
  const { task, job, site, codecs, residuals, count, context, filters, message } = options;
  const chain = converted(filters, 'model', 'update');
  const turn = chain.findIndex(({ makes }) => makes === 'update');
  const weights = inFloat32(await applyFilters(trained, chain.slice(0, turn), context));
  const update = chain.length > turn + 1 ? await applyFilters(weights, chain.slice(turn), context) : undefined;
  const { manifest } = update ?? weights;
  // One pass subtracts, adds and codes where no filter works on the update.
  const terms = update ? [] : difference(weights, given, site);
  const feedsBack = feedbackFor(job.quantize, codecs);
  const keeps = manifest.tensors.some((tensor) => tensor.dtype === 'F32' && feedsBack(tensor));
  return async (spool) => {
    const residual = keeps ? await residuals.before(task.round) : undefined;
    const padded = residual && paddedTo(manifest, residual);
    const kept = padded ? [{ model: padded, weight: 1 }] : [];
    try {
      const { info, besideDigest } = await writeCodedSum({
        addends: update ? [{ model: await withResidual(update, padded, options), weight: 1 }] : [...terms, ...kept],
        codecs,
        what: `the update of ${site}`,
        encodingFor: policyEncoding(job.quantize.up, dtypesOf(given.manifest), codecs),
        spool,
        message,
        onReport: (report) => countSaturated(report, count),
        ...(keeps && {
          beside: {
            ...residuals.file(task.round),
            of: 'kept',
            dtype: RESIDUAL_DTYPE,
            has: (tensor) => tensor.dtype === 'F32' && feedsBack(tensor),
          },
        }),
      });
      // The residual is recorded before the result can reach the server: a process that restarts
      // after the result was sent cannot make it again.
      if (besideDigest !== undefined) await residuals.keep(task.round, besideDigest);
      return info;
    } finally {
      await residual?.close?.();
    }
  };
}

function difference(trained: StateDict, given: StateDict, site: string): Addend[] {
  const reference = inFloat32(tensorsOf(given, trained.manifest));
  sameTensors(reference.manifest, trained.manifest, `the result of ${site}`);
  return [
    { model: trained, weight: 1 },
    { model: reference, weight: -1 },
  ];
}

/**
 * Adds the residual, which may break a promised bound, so the bounds are enforced once more. Their
 * counts were taken the first time.
 */
async function withResidual(update: StateDict, residual: StateDict | undefined, { context, bounds }: UpdateOptions): Promise<StateDict> {
  if (!residual) return update;
  const sum = combine(asUpdate(update, context.codecs), decodeModel(residual, context.codecs), 1);
  return applyFilters(sum, bounds, { ...context, count: () => {} });
}

/** The filter with its counts going to `count` alone. */
function heardBy(count: FilterContext['count'], filter: Filter): Filter {
  return { on: filter.on, apply: (model, context) => filter.apply(model, { ...context, count }) };
}

function countSaturated({ saturated }: EncodeReport, count: ResultMessageOptions['count']): void {
  if (saturated > 0) count('saturated', saturated);
}
