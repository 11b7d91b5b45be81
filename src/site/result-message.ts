// A site's result as a message: what was trained less what was given, and what coding has kept back before; or whole weights.
import type { CodecTable, EncodeReport } from '../codec/codec.js';
import { inFloat32 } from '../codec/float32.js';
import { decodeModel, encodeModel } from '../codec/quantize.js';
import { writeCodedSum } from '../exchange/coded-sum.js';
import { codedExtras } from '../exchange/extras-coding.js';
import { dtypesOf, policyEncoding } from '../exchange/message-coding.js';
import { paddedTo } from '../exchange/padded.js';
import type { Task } from '../exchange/task.js';
import { ownFilters, sendsUpdates } from '../filter/chain.js';
import { feedbackFor } from '../filter/coding.js';
import { applyFilters, type FilterContext } from '../filter/filter.js';
import { isLossy } from '../filter/policy.js';
import type { Job } from '../job/job.js';
import { type Manifest, RAW } from '../tensor/manifest.js';
import { sameTensors } from '../tensor/manifest-equality.js';
import { joinDicts, type NamedDicts } from '../tensor/named-dicts.js';
import { selectTensors } from '../tensor/select-tensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Residuals } from './residuals.js';
import type { WriteResult } from './server-link.js';

export interface ResultMessageOptions {
  readonly task: Task;
  readonly job: Job;
  readonly site: string;
  readonly codecs: CodecTable;
  readonly residuals: Residuals;
  /** State dicts beside the model, as the trainer returned them. */
  readonly extras?: NamedDicts | undefined;
  /** Hears of numbers for the round's metrics: `saturated`, … */
  count(name: string, amount: number): void;
}

/** Lazy: nothing is read before the message is sent. `trained` may have any float dtypes; the message is float32. */
export async function resultMessage(trained: StateDict, given: StateDict, options: ResultMessageOptions): Promise<StateDict | WriteResult> {
  const { task, job, site, codecs, count } = options;
  const context: FilterContext = { point: 'result-out', site, round: task.round, codecs, reference: given, count };
  const filtered = inFloat32(await applyFilters(trained, ownFilters(job, 'result-out'), context));
  const onReport = ({ saturated }: EncodeReport): void => {
    if (saturated > 0) count('saturated', saturated);
  };
  if (sendsUpdates(job)) return updateWriter(filtered, given, { ...options, onReport });
  if (!isLossy(job.quantize.up)) return withExtras(filtered, options);
  const encodingFor = policyEncoding(job.quantize.up, dtypesOf(given.manifest));
  const coded = encodeModel(decodeModel(filtered, codecs), encodingFor, codecs, (_, report) => onReport(report));
  return withExtras(coded, options);
}

interface UpdateOptions extends ResultMessageOptions {
  onReport(report: EncodeReport): void;
}

/** One pass: subtract what was given, add the residual, code, and keep what coding keeps back. */
function updateWriter(trained: StateDict, given: StateDict, options: UpdateOptions): WriteResult {
  const { task, job, site, codecs, residuals, onReport } = options;
  const what = `the update of ${site}`;
  const names = new Set(trained.manifest.tensors.map(({ name }) => name));
  const reference = inFloat32(selectTensors(given, ({ name }) => names.has(name)));
  sameTensors(reference.manifest, trained.manifest, `the result of ${site}`);
  const feedsBack = feedbackFor(job.quantize);
  const keeps = trained.manifest.tensors.some((tensor) => tensor.dtype === 'F32' && feedsBack(tensor));
  return async (spool) => {
    const residual = keeps ? await residuals.before(task.round) : undefined;
    try {
      const { info, besideDigest } = await writeCodedSum({
        addends: [
          { model: trained, weight: 1 },
          { model: reference, weight: -1 },
          ...(residual ? [{ model: paddedTo(rawManifest(trained.manifest), residual), weight: 1 }] : []),
        ],
        codecs,
        what,
        encodingFor: policyEncoding(job.quantize.up, dtypesOf(given.manifest)),
        spool,
        message: (coded) => withExtras(coded, options),
        onReport,
        ...(keeps && {
          beside: { ...residuals.file(task.round), of: 'kept', has: (tensor) => tensor.dtype === 'F32' && feedsBack(tensor) },
        }),
      });
      // Before the result can reach the server: a process that is started again after it was sent has no other way to it.
      if (besideDigest !== undefined) await residuals.keep(task.round, besideDigest);
      return info;
    } finally {
      await residual?.close?.();
    }
  };
}

/** The message of a result whose trainer returned more than a model. */
function withExtras(model: StateDict, { extras = {}, job, codecs }: ResultMessageOptions): StateDict {
  return joinDicts({ model, ...codedExtras(extras, job, codecs) });
}

function rawManifest(manifest: Manifest): Manifest {
  return { ...manifest, tensors: manifest.tensors.map((tensor) => ({ ...tensor, encoding: RAW })) };
}
