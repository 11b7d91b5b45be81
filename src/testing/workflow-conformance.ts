// The suite that every workflow passes: the promises of `workflow/federation.ts`.
import { FedStreamError } from '../core/errors.js';
import { randomStream } from '../core/random.js';
import type { RunResult } from '../server/run.js';
import { roundOfSegment } from '../trainer/part-plan.js';
import type { TrainedPart, TrainTask } from '../trainer/trainer.js';
import { check, equal, type RegisterTest } from './checks.js';
import { Life } from './mortal-folder.js';
import { checkOptions } from './row-options.js';
import { type FederationOptions, ScriptedFederation, SITES, type WorkflowUnderTest } from './scripted-federation.js';
import { same } from './state-dicts.js';

type WorkflowTest = (subject: WorkflowUnderTest) => Promise<void>;

/** Registers every test under `Workflow <name>: …`; the exceptions are left out. */
export function testWorkflow(name: string, subject: WorkflowUnderTest, test: RegisterTest): void {
  for (const [title, run] of Object.entries(TESTS)) {
    if (subject.exceptions?.[title] === undefined) test(`Workflow ${name}: ${title}`, () => run(subject));
  }
}

/** A run that was cut off more often than this comes to no end. */
const MOST_CUTS = 200;

const TESTS: Readonly<Record<string, WorkflowTest>> = {
  'takes the options that its schema says, and no others': async ({ row, options }) => checkOptions(row, options),

  'runs to its end: every committed round has a model, and nobody is asked twice': async (subject) => {
    const { federation, result } = await ended(subject);
    check(result.reason !== '', 'it does not say why it ended');
    const history = await federation.history();
    equal(history.at(-1)?.round, result.lastRound, 'the last round');
    checkTidy(federation);
    equal(twice(federation.asked).join(), '', 'what somebody was asked twice');
    equal((await federation.run.list('rounds')).join(), '', 'rounds that are left in the run folder');
    check(federation.asked.length > 0, 'nobody was asked anything');
  },

  'gives the same bits again, whoever answers first': async (subject) => {
    const first = await ended(subject, { delaysMs: { a: 0, b: 4, c: 8 } });
    const second = await ended(subject, { delaysMs: { a: 8, b: 4, c: 0 } });
    await sameEnd(second, first, 'where the sites answer in another order');
  },

  'cut off at any instant it goes on, with the same bits, and asks nobody what was answered': async (subject) => {
    const { row, cutRuns = 2 } = subject;
    const whole = new Life();
    const quiet = await ended(subject, {}, whole);
    for (let number = 0; number < cutRuns; number++) {
      const random = randomStream(number, 'cuts', row.name);
      const federation = new ScriptedFederation(subject);
      let result: RunResult | undefined;
      let cuts = -1;
      while (!result) {
        cuts++;
        check(cuts <= MOST_CUTS, `the run came to no end after ${cuts} cuts; its rounds: ${(await federation.history()).length - 1}`);
        // Later each time, so that it comes to an end.
        result = await federation.live(new Life(1 + random.integer(Math.ceil(whole.steps / 3) + 5 * cuts)));
      }
      check(cuts > 0, 'the run was never cut off');
      checkTidy(federation);
      await sameEnd({ federation, result }, quiet, `after ${cuts} cuts`);
      const [found, expected] = [federation.asked, quiet.federation.asked].map((asks) => [...new Set(asks)].sort().join('; '));
      equal(found, expected, `what was asked, with ${cuts} cuts`);
    }
  },

  'a site alone that is cut off comes back, with the same bits': async (subject) => {
    const quiet = await ended(subject);
    const random = randomStream(5, 'sites', subject.row.name);
    const siteCuts = Object.fromEntries(SITES.map((site) => [site, [1 + random.integer(20), 1 + random.integer(40)]]));
    const federation = new ScriptedFederation(subject, { siteCuts });
    const result = await federation.live();
    check(result !== undefined, 'the run did not end');
    checkTidy(federation);
    await sameEnd({ federation, result }, quiet, 'where sites were cut off');
  },

  'a site that fails does not hang it': async (subject) => {
    for (const [from, fails] of [
      [1, ['b']],
      [2, ['c']],
      [1, SITES],
    ] as const) {
      const failing = (site: string, { round }: Pick<TrainTask, 'round'>): void => {
        if (fails.some((one) => one === site) && round >= from) throw new Error('out of memory');
      };
      await endsSomehow(subject, changing(failing), `${fails.join()} failed from round ${from}`);
    }
  },

  'a site that falls silent does not hang it': async (subject) => {
    const silent = (site: string, { signal }: Pick<TrainTask, 'signal'>): Promise<void> | undefined =>
      site === 'b' ? new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))) : undefined;
    await endsSomehow(subject, { ...changing(silent), job: { stragglerMs: 300 } }, 'b was silent');
  },
};

interface Ended {
  readonly federation: ScriptedFederation;
  readonly result: RunResult;
}

/** A run that nobody disturbs. */
async function ended(subject: WorkflowUnderTest, options: FederationOptions = {}, life = new Life()): Promise<Ended> {
  const federation = new ScriptedFederation(subject, options);
  const result = await federation.live(life);
  check(result !== undefined, 'the run did not end');
  return { federation, result };
}

/** Something is done before each training, or before a part of it is sent. */
function changing(before: (site: string, task: Pick<TrainTask, 'round' | 'signal'>) => Promise<void> | void): FederationOptions {
  return {
    change: (site, usual) => ({
      ...usual,
      async train(task, model) {
        await before(site, task);
        return usual.train(task, model);
      },
      async trainParts(task, start) {
        const { signal, plan } = task;
        const send = async (part: TrainedPart): Promise<void> => {
          await before(site, { signal, round: roundOfSegment(part.segment, plan.of) });
          await task.send(part);
        };
        await usual.trainParts?.({ ...task, send }, start);
      },
    }),
  };
}

/** The run ends with a result or a clear error; committed rounds are whole either way. */
async function endsSomehow(subject: WorkflowUnderTest, options: FederationOptions, what: string): Promise<void> {
  const federation = new ScriptedFederation(subject, options);
  try {
    await federation.live();
  } catch (error) {
    const clear = error instanceof FedStreamError && error.code !== 'internal';
    check(clear, `${what}, and the run ended with ${String(error)}`);
  }
  checkTidy(federation);
  const content = await federation.content();
  check(content.has('model'), `${what}, and there is no model`);
}

function checkTidy({ faults }: ScriptedFederation): void {
  equal(faults[0], undefined, 'what went wrong on the way');
}

async function sameEnd(found: Ended, expected: Ended, what: string): Promise<void> {
  equal(JSON.stringify(found.result), JSON.stringify(expected.result), `the result ${what}`);
  const [history, right] = await Promise.all([found.federation.history(), expected.federation.history()]);
  equal(JSON.stringify(history), JSON.stringify(right), `the journal ${what}`);
  const [content, bits] = await Promise.all([found.federation.content(), expected.federation.content()]);
  equal([...content.keys()].join(), [...bits.keys()].join(), `what is kept ${what}`);
  for (const [name, chunks] of content) same(chunks, bits.get(name) as Uint8Array[], `${name} ${what}`);
}

function twice(all: readonly string[]): string[] {
  return all.filter((one, index) => all.indexOf(one) !== index);
}
