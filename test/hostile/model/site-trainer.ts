// The trainer of a site with a hostile server: it checks that it may be called, and what it says
// when it fails must stay at the site.
import { referenceCodecs } from '../../../src/codec/codec-table.js';
import { contentDigest } from '../../../src/exchange/content-digest.js';
import type { Task } from '../../../src/exchange/task.js';
import type { Job } from '../../../src/job/job.js';
import { DEFAULT_LIMITS } from '../../../src/site/limits.js';
import { memoryStateDict } from '../../../src/tensor/memory-state-dict.js';
import { type StateDict, withManifest } from '../../../src/tensor/state-dict.js';
import { learningTrainer } from '../../../src/testing/scripted-trainer.js';
import type { Trainer } from '../../../src/trainer/trainer.js';
import type { Findings } from './findings.js';

export const SECRET = 'Mrs-Doe-has-measles';

export interface WatchedOptions {
  readonly job: Job;
  readonly findings: Findings;
  /** The task that the site was given last. */
  current(): Task | undefined;
  /** Called with the model that a task is done for. */
  used(task: Task, content: string): void;
  /** True if the next call fails. */
  fails(): boolean;
  /** False once the server is an honest one, whose tasks the test does not know. */
  isWatched(): boolean;
}

/** Throws nothing: what is wrong is a finding. */
export function watchedTrainer({ job, findings, current, used, fails, isWatched }: WatchedOptions): Trainer {
  checkJob(job, findings);
  const inner = learningTrainer(0);
  let isClosed = false;
  const called = async (kind: string, round: number, rounds: number, model: StateDict, beside = ''): Promise<void> => {
    findings.count(`trainer: ${kind}`);
    if (!isWatched()) return;
    const task = current();
    findings.check(!isClosed, 'a trainer was called after its end', () => kind);
    findings.check(task?.kind === kind || (kind === 'evaluate' && task?.evaluate === true), 'the trainer was called for no task', () =>
      JSON.stringify([kind, task]),
    );
    if (!task) return;
    const fits =
      round === task.round && rounds === task.rounds && rounds <= job.rounds && round <= job.rounds && (round >= 1 || kind !== 'train');
    findings.check(fits, 'a task beyond its job was done', () => JSON.stringify([kind, round, rounds, task]));
    const digest = await contentDigest(model, referenceCodecs);
    const wanted = task.model?.digest;
    if (wanted !== undefined) findings.count('trainer: a digest');
    findings.check(wanted === undefined || wanted === digest, 'a model with another digest than the task says', () =>
      JSON.stringify([digest, task]),
    );
    if (kind === task.kind) used(task, `${digest} ${beside}`);
    if (fails()) throw new Error(`the sample ${SECRET} in /home/${SECRET}/data.jsonl has no answer`);
  };
  return {
    async train(task, model) {
      const { extras = {}, figures = {} } = task;
      const digests = await Promise.all(Object.values(extras).map((extra) => contentDigest(extra, referenceCodecs)));
      await called('train', task.round, task.rounds, model, `${digests} ${JSON.stringify(figures)}`);
      const result = await inner.train(task, model);
      const trained = withManifest(result.model, { ...result.model.manifest, metadata: { from: `/home/${SECRET}` } });
      return { ...result, samples: 20, model: trained, metrics: { good: 1, [`${SECRET} has measles`]: 1 } };
    },
    async evaluate(model, signal, progress) {
      await called('evaluate', progress?.round ?? -1, progress?.rounds ?? -1, model);
      const metrics = await inner.evaluate(model, signal, progress);
      return metrics && { ...metrics, loss: 1, samples: 20 };
    },
    samplesIn: () => 20,
    async offer() {
      findings.count('trainer: offer');
      if (fails()) throw new Error(`no model of ${SECRET}`);
      const model = memoryStateDict([{ name: 'w', dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) }]);
      const text = JSON.stringify({ model_type: 'toy', _name_or_path: `/home/${SECRET}/model` });
      return { model: withManifest(model, { ...model.manifest, metadata: { path: SECRET } }), files: { 'config.json': text } };
    },
    close: async () => {
      isClosed = true;
    },
  };
}

/** The limits that hold without a word of the site's owner, written down once more. */
function checkJob({ rounds, train: { batchSize, accumulate, localSteps }, quantize }: Job, findings: Findings): void {
  const batch = (batchSize ?? 16) * accumulate;
  const steps = localSteps ?? 1;
  const fits =
    rounds <= DEFAULT_LIMITS.mostRounds &&
    batch >= DEFAULT_LIMITS.leastBatch &&
    steps <= DEFAULT_LIMITS.mostSteps &&
    (localSteps === undefined || batchSize === undefined || steps * batch >= DEFAULT_LIMITS.leastSamples) &&
    quantize.up === 'fp32';
  findings.check(fits, 'a trainer was made for a job beyond the limits', () => JSON.stringify({ rounds, batch, steps, quantize }));
}
