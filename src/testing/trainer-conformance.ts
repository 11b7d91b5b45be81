// The suite that every trainer passes: what `Trainer` promises (trainer/trainer.ts).
import type { StateDict } from '../tensor/state-dict.js';
import { fittingResult } from '../trainer/bridge/check-result.js';
import type { Trainer, TrainResult, TrainTask } from '../trainer/trainer.js';
import { check, equal, pause, type RegisterTest } from './checks.js';
import { contentOf, same } from './state-dicts.js';

type StateDicts = Readonly<Record<string, StateDict>>;

/** A trainer, and what the suite is to know of it. */
export interface TrainerUnderTest {
  /** A new trainer that has done nothing yet; the suite closes it. */
  make(): Trainer | Promise<Trainer>;
  /** A raw model that it can train, of more than one chunk or tensor, the same bits each time. */
  model(): StateDict | Promise<StateDict>;
  /**
   * Extras of a task that it understands, the same bits each time; missing where it understands
   * none.
   */
  extras?(): StateDicts | Promise<StateDicts>;
  /** Figures of a task that it understands. */
  readonly figures?: Readonly<Record<string, number>>;
  /** The names of the extras that its result has where it is given those of `extras`. */
  readonly returns?: readonly string[];
  /** Time that a trainer may take to end an aborted task, in milliseconds. 10,000 by default. */
  readonly abortMs?: number;
  /** Tests that do not hold for this trainer, by title, with the reason. */
  readonly exceptions?: Readonly<Record<string, string>>;
}

type TrainerTest = (subject: TrainerUnderTest) => Promise<void>;

/** Registers every test under `Trainer <name>: …`; the exceptions are left out. */
export function testTrainer(name: string, subject: TrainerUnderTest, test: RegisterTest): void {
  for (const [title, run] of Object.entries(TESTS)) {
    if (subject.exceptions?.[title] === undefined) test(`Trainer ${name}: ${title}`, () => run(subject));
  }
}

const TESTS: Readonly<Record<string, TrainerTest>> = {
  'gives back the tensors that it was given, with figures that can be averaged': async (subject) => {
    await withTrainer(subject, async (trainer) => {
      const given = await subject.model();
      const steps: number[] = [];
      const onStep: TrainTask['onStep'] = ({ step, loss }) => {
        check(Number.isFinite(loss), `the loss of step ${step} is ${loss}`);
        steps.push(step);
      };
      const result = await trainer.train(task({ onStep }), given);
      fittingResult(result.model, given.manifest, 'the trainer');
      const { samples, trainLoss } = result;
      check(Number.isSafeInteger(samples) && samples >= 1, `samples is ${samples}`);
      check(Number.isSafeInteger(result.steps) && result.steps >= 0, `steps is ${result.steps}`);
      check(Number.isFinite(trainLoss), `trainLoss is ${trainLoss}`);
      for (const [name, metric] of Object.entries(result.metrics ?? {})) check(Number.isFinite(metric), `metrics.${name} is ${metric}`);
      for (const [i, step] of steps.entries())
        check(step > (steps[i - 1] ?? 0), `step ${step} is reported after step ${steps[i - 1] ?? 0}`);
      await closeAll(result);
    });
  },

  'gives a model that can be read again, and in part': async (subject) => {
    await withTrainer(subject, async (trainer) => {
      const result = await trainer.train(task(), await subject.model());
      const { model } = result;
      const whole = await contentOf(model);
      check(whole.length > 0, 'the model has no chunk');
      same(await contentOf(model), whole, 'the second reading');
      const last = whole.length - 1;
      same(await contentOf(model, { first: last, end: last + 1 }), whole.slice(last), 'the last chunk alone');
      await closeAll(result);
    });
  },

  'changes nothing of what it is given, and leaves it open': async (subject) => {
    await withTrainer(subject, async (trainer) => {
      const given = watched(await subject.model());
      const before = await contentOf(given.state);
      const result = await trainer.train(task(), given.state);
      same(await contentOf(given.state), before, 'the model that was given, after training');
      await closeAll(result);
      await trainer.evaluate(given.state, new AbortController().signal);
      same(await contentOf(given.state), before, 'the model that was given, after an evaluation');
      equal(given.closed(), 0, 'how often the model that was given was closed');
    });
  },

  'gives the same bits for the same task': async (subject) => {
    same(await trainedAnew(subject), await trainedAnew(subject), 'what a second trainer made');
  },

  'goes on from round to round, with the same bits': async (subject) => {
    const rounds = async (): Promise<Uint8Array[]> => {
      let made: Uint8Array[] = [];
      await withTrainer(subject, async (trainer) => {
        for (const round of [1, 2, 3]) made = await trainedBy(trainer, await subject.model(), task({ round }));
      });
      return made;
    };
    same(await rounds(), await rounds(), 'what a second trainer made in three rounds');
  },

  'takes extras and figures, leaves them as they are, and returns its own': async (subject) => {
    const { figures, returns = [] } = subject;
    const made: Uint8Array[][] = [];
    for (let time = 0; time < 2; time++) {
      await withTrainer(subject, async (trainer) => {
        const given = Object.entries((await subject.extras?.()) ?? {}).map(([name, state]) => [name, watched(state)] as const);
        const before = await Promise.all(given.map(([, { state }]) => contentOf(state)));
        const extras = Object.fromEntries(given.map(([name, { state }]) => [name, state]));
        const result = await trainer.train(task({ extras, figures }), await subject.model());
        equal(
          Object.keys(result.extras ?? {})
            .sort()
            .join(),
          [...returns].sort().join(),
          'the names of the extras that came back',
        );
        const all = [result.model, ...[...returns].sort().map((name) => result.extras?.[name] as StateDict)];
        made.push((await Promise.all(all.map((state) => contentOf(state)))).flat());
        for (const [i, [name, { state, closed }]] of given.entries()) {
          same(await contentOf(state), before[i] as Uint8Array[], `the extra ${name} that was given, after training`);
          equal(closed(), 0, `how often the extra ${name} that was given was closed`);
        }
        await closeAll(result);
      });
    }
    same(made[1] as Uint8Array[], made[0] as Uint8Array[], 'what a second trainer made with extras');
  },

  'returns no extras where it is given none': async (subject) => {
    await withTrainer(subject, async (trainer) => {
      const result = await trainer.train(task(), await subject.model());
      equal(Object.keys(result.extras ?? {}).join(), '', 'the names of the extras that came back');
      await closeAll(result);
    });
  },

  'evaluates to the same figures each time, and trains afterwards as if it had not': async (subject) => {
    await withTrainer(subject, async (trainer) => {
      const { signal } = new AbortController();
      const first = await trainer.evaluate(await subject.model(), signal);
      const second = await trainer.evaluate(await subject.model(), signal);
      equal(JSON.stringify(second), JSON.stringify(first), 'the second evaluation');
      if (first) {
        check(first.loss >= 0 && Number.isFinite(first.loss), `the loss of the evaluation is ${first.loss}`);
        check(Number.isSafeInteger(first.samples) && first.samples >= 1, `the evaluation's samples are ${first.samples}`);
      }
      same(await trainedBy(trainer, await subject.model()), await trainedAnew(subject), 'what was trained after an evaluation');
    });
  },

  'does not begin a task that is aborted already, and works on': async (subject) => {
    await withTrainer(subject, async (trainer) => {
      const reason = new Error('stopped before');
      const signal = AbortSignal.abort(reason);
      const training = trainer.train(task({ signal }), await subject.model());
      equal(await ending(training, subject), reason, 'what the aborted training rejected with');
      const evaluating = trainer.evaluate(await subject.model(), signal);
      const end = await ending(evaluating, subject);
      check(end === reason || (await evaluating) === undefined, `the aborted evaluation ended otherwise: ${String(end)}`);
      same(await trainedBy(trainer, await subject.model()), await trainedAnew(subject), 'what was trained after an abort');
    });
  },

  'ends a task that is aborted, and does it again with the same bits': async (subject) => {
    await withTrainer(subject, async (trainer) => {
      const reason = new Error('stopped in the middle');
      const stop = new AbortController();
      const abort = (): void => stop.abort(reason);
      const training = trainer.train(task({ signal: stop.signal, onStep: abort, onProgress: abort }), await subject.model());
      const end = await ending(training, subject);
      // A task may be done before it hears of its end.
      if (end === undefined) await closeAll(await training);
      else equal(end, reason, 'what the aborted training rejected with');
      same(await trainedBy(trainer, await subject.model()), await trainedAnew(subject), 'what was trained after an abort');
    });
  },

  'may be closed twice, and without ever having had a task': async (subject) => {
    const idle = await subject.make();
    await idle.close();
    await idle.close();
    const busy = await subject.make();
    await closeAll(await busy.train(task(), await subject.model()));
    await busy.close();
    await busy.close();
  },
};

function task(more: Partial<TrainTask> = {}): TrainTask {
  return { round: 1, rounds: 3, signal: new AbortController().signal, onStep: () => {}, ...more };
}

async function withTrainer(subject: TrainerUnderTest, run: (trainer: Trainer) => Promise<void>): Promise<void> {
  const trainer = await subject.make();
  try {
    await run(trainer);
  } finally {
    await trainer.close();
  }
}

async function trainedBy(trainer: Trainer, model: StateDict, asked = task()): Promise<Uint8Array[]> {
  const result = await trainer.train(asked, model);
  const content = await contentOf(result.model);
  await closeAll(result);
  return content;
}

/** The first round of a trainer that has done nothing yet. */
async function trainedAnew(subject: TrainerUnderTest): Promise<Uint8Array[]> {
  let content: Uint8Array[] = [];
  await withTrainer(subject, async (trainer) => {
    content = await trainedBy(trainer, await subject.model());
  });
  return content;
}

async function closeAll({ model, extras = {} }: TrainResult): Promise<void> {
  await model.close?.();
  for (const extra of Object.values(extras)) await extra.close?.();
}

/**
 * The error that a promise rejects with, undefined where it resolves; fails where it does neither
 * in time.
 */
async function ending(promise: Promise<unknown>, { abortMs = 10_000 }: TrainerUnderTest): Promise<unknown> {
  const late = Symbol();
  const settled = promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  const end = await Promise.race([settled, pause(abortMs).then(() => late)]);
  check(end !== late, `the aborted task was not over after ${abortMs} ms`);
  return end;
}

/** The same state dict, which counts how often it is closed and lets nobody close it. */
function watched(state: StateDict): { state: StateDict; closed(): number } {
  let times = 0;
  const close = (): void => {
    times++;
  };
  return { state: { manifest: state.manifest, stored: state.stored, chunks: (range) => state.chunks(range), close }, closed: () => times };
}
