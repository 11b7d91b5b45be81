// Updates and their effect on the model: exact starts, a server that keeps its own float32 model,
// updates, and sites that missed some.
import { expect, test } from 'vitest';
import { FedStreamError } from '../../src/core/errors.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import type { JobInput } from '../../src/job/job.js';
import type { Base } from '../../src/site/find-base.js';
import { bitsOf, federate, heldFolder, heldIn, inBf16, modelOf, type ScriptedSite, someValues, type Values } from './scripted.js';

type Change = (value: number, index: number, round: number) => number;

const changed = (given: Values, round: number, change: Change): Values =>
  Object.fromEntries(Object.entries(given).map(([name, data]) => [name, data.map((value, i) => change(value, i, round))]));

const learns = (change: Change): Pick<ScriptedSite, 'learn'> => ({ learn: (given, round) => changed(given, round, change) });

const SITES: Record<string, ScriptedSite> = {
  a: { ...learns((value, i, round) => value + 1e-3 * Math.sin(i + round)), samples: 3 },
  b: { ...learns((value, i, round) => value - 2e-3 * Math.cos(i * 3 + round)), samples: 1 },
};

const base = (dtype: 'F32' | 'BF16', values = someValues(1)): Base => ({
  label: 'folder',
  stays: true,
  open: async () => modelOf(values, dtype),
});

function bytesDown(events: Awaited<ReturnType<typeof federate>>['events'], round: number): number[] {
  return events.flatMap((event) => (event.type === 'transfer' && event.direction === 'down' && event.round === round ? [event.bytes] : []));
}

test.each(['u4', 'lean', 'nf4', 'blockwise8', 'u2'])(
  '%s: server and sites hold the same bits after every round, and the server keeps the residual',
  async (quantize) => {
    const run = memoryFolder('run');
    const folders: Record<string, Folder> = {};
    const seen: number[] = [];
    const watching = {
      ...SITES,
      a: {
        ...(SITES.a as ScriptedSite),
        learn: async (given: Values, round: number) => {
          const held = await heldIn(run);
          // Until the first update the server has no file of its own: its model is the initial one.
          if (held) expect(bitsOf(given)).toEqual(bitsOf(held));
          seen.push(round);
          return (SITES.a as ScriptedSite).learn(given, round);
        },
      },
    };
    const { master } = await federate({ quantize, rounds: 4 }, watching, { run, folders });
    expect(seen).toEqual([1, 2, 3, 4]);
    const held = await heldIn(run);
    for (const site of ['a', 'b']) expect(bitsOf(await heldIn(folders[site] as Folder))).toEqual(bitsOf(held));
    // The update of the last round has not been sent.
    const model = await master(4);
    for (const name of ['w', 'norm']) {
      const owed = (model[name] as Float32Array).map((value, i) => value - (held?.[name]?.[i] as number));
      expect(Math.max(...owed.map(Math.abs))).toBeLessThan(0.01);
      expect(Math.max(...owed.map(Math.abs))).toBeGreaterThan(0);
    }
  },
);

test.each(['fp32', 'u4'])(
  '%s: a bfloat16 model, trainers in float32, float64 and bfloat16: the average equals that by hand',
  async (quantize) => {
    const start = Object.fromEntries(Object.entries(someValues(1)).map(([name, data]) => [name, inBf16(data)]));
    const steps: Record<string, (i: number) => number> = {
      a: (i) => 1e-5 * Math.sin(i),
      b: (i) => 3e-3 * Math.cos(i),
      c: (i) => 1e-5 * (i % 7),
    };
    const site = (name: string, dtype: 'F32' | 'F64' | 'BF16', samples: number): ScriptedSite => ({
      learn: (given) => changed(given, 0, (value, i) => value + (steps[name]?.(i) as number)),
      dtype,
      samples,
    });
    const sites = { a: site('a', 'F32', 2), b: site('b', 'BF16', 1), c: site('c', 'F64', 1) };
    const { master, events } = await federate({ quantize, rounds: 1 }, sites, { dtype: 'BF16', start });
    expect(events.filter(({ type }) => type === 'warning')).toEqual([]);
    const model = await master(1);
    const weights = { a: 0.5, b: 0.25, c: 0.25 };
    for (const [name, data] of Object.entries(start)) {
      const trained = (who: string): Float32Array => data.map((value, i) => value + (steps[who]?.(i) as number));
      const returned: Record<string, Float32Array> = { a: trained('a'), b: inBf16(trained('b')), c: trained('c') };
      let [most, error, size] = [0, 0, 0];
      for (const [i, value] of data.entries()) {
        let mean = value;
        for (const [who, weight] of Object.entries(weights)) mean += weight * ((returned[who]?.[i] as number) - value);
        const off = (model[name]?.[i] as number) - mean;
        most = Math.max(most, Math.abs(off));
        error += off * off;
        size += (mean - value) ** 2;
      }
      // Float32 accuracy of values around 0.1; with a codec, the codec's error
      // (docs/spec/codecs.md: 0.7 % of the square for u4).
      if (quantize === 'fp32') expect(most).toBeLessThan(2e-8);
      else expect(error / size).toBeLessThan(0.02);
    }
  },
);

test('steps below half a unit of bfloat16 add up: the server’s model is never rounded to it', async () => {
  const start = Object.fromEntries(
    Object.entries(someValues(1)).map(([name, data]) => [name, inBf16(data.map((value) => Math.sign(value) + value))]),
  );
  for (const quantize of ['fp32', 'u4']) {
    // Ten steps in float32, each an eighth of the smallest step of a bfloat16 near 1.
    const { master } = await federate(
      { quantize, rounds: 10 },
      { a: { ...learns((value) => value + 2 ** -11), dtype: 'F32' } },
      { dtype: 'BF16', start },
    );
    const model = await master(10);
    const moved = (model.w as Float32Array).map((value, i) => value - (start.w?.[i] as number));
    expect(Math.abs(moved.reduce((sum, value) => sum + value, 0) / moved.length - 10 * 2 ** -11)).toBeLessThan(
      quantize === 'fp32' ? 1e-6 : 2e-4,
    );
  }
});

test('one site in bfloat16 without coding equals central training, bit for bit', async () => {
  const start = Object.fromEntries(Object.entries(someValues(3)).map(([name, data]) => [name, inBf16(data)]));
  const step: Change = (value, i, round) => value * (1 + 0.01 * Math.sin(i * round)) + 1e-4;
  let alone: Values = start;
  for (let round = 1; round <= 4; round++)
    alone = Object.fromEntries(Object.entries(changed(alone, round, step)).map(([name, data]) => [name, inBf16(data)]));
  const { master } = await federate({ quantize: 'fp32', rounds: 4 }, { a: learns(step) }, { dtype: 'BF16', start });
  expect(bitsOf(await master(4))).toEqual(bitsOf(alone));
});

test.each(['fp32', 'u4', 'lean'])('%s: the model is not sent to a site that has it, but to one that has another', async (quantize) => {
  const sites = {
    a: { ...(SITES.a as ScriptedSite), bases: [base('F32')] },
    b: { ...(SITES.b as ScriptedSite), bases: [base('F32', someValues(2))] },
  };
  const { events, master } = await federate({ quantize, rounds: 2 }, sites);
  const [least, most] = bytesDown(events, 1).sort((x, y) => x - y) as [number, number];
  expect(least).toBeLessThan(1500);
  expect(most).toBeGreaterThan(4 * (64 * 48 + 1500));
  // The float32 bytes count as if it had been sent, for the comparison with a run that sends it.
  for (const event of events) if (event.type === 'transfer' && event.round === 1) expect(event.fp32Bytes).toBe(4 * (64 * 48 + 1500));
  const without = await federate({ quantize, rounds: 2 }, SITES);
  expect(bitsOf(await master(2))).toEqual(bitsOf(await without.master(2)));
});

test('a bfloat16 base: the first model takes half the bytes if it is sent, and none if the site has it', async () => {
  const start = Object.fromEntries(Object.entries(someValues(1)).map(([name, data]) => [name, inBf16(data)]));
  const known = { ...(SITES.a as ScriptedSite), bases: [base('BF16', start)] };
  const { events } = await federate({ quantize: 'u4', rounds: 2 }, { a: known, b: SITES.b as ScriptedSite }, { dtype: 'BF16', start });
  const [least, most] = bytesDown(events, 1).sort((x, y) => x - y) as [number, number];
  expect(least).toBeLessThan(1500);
  expect(most).toBeGreaterThan(2 * (64 * 48 + 1500));
  expect(most).toBeLessThan(2.5 * (64 * 48 + 1500));
});

test('a float32 model that most sites lack is sent in bfloat16, one that half of them have as it is; a restart keeps the choice', async () => {
  const job: JobInput = { quantize: 'u4', rounds: 2, model: { path: 'somewhere' } };
  const evaluate = () => ({ loss: 1, samples: 1 });
  const elements = 64 * 48 + 1500;
  const has = (site: ScriptedSite | undefined): ScriptedSite => ({ ...(site as ScriptedSite), bases: [base('F32')] });
  const none = await federate(job, SITES, { evaluate });
  for (const bytes of bytesDown(none.events, 1)) expect(bytes / elements).toBeCloseTo(2, 0);
  expect(none.events.some((event) => event.type === 'evaluation' && event.held)).toBe(true);
  const half = await federate(job, { a: has(SITES.a), b: SITES.b as ScriptedSite }, { evaluate });
  expect(bytesDown(half.events, 1).sort((x, y) => x - y)[0]).toBeLessThan(1500);
  expect(Math.max(...bytesDown(half.events, 1)) / elements).toBeCloseTo(4, 0);
  const asked = await federate({ ...job, quantize: { first: 'base' } }, SITES, { evaluate });
  expect(bitsOf(await half.master(2))).toEqual(bitsOf(await asked.master(2)));
  const coded = await federate({ ...job, quantize: { first: 'bf16' } }, SITES, { evaluate });
  expect(bitsOf(await none.master(2))).toEqual(bitsOf(await coded.master(2)));
});

test('a site that joins a running job replays the updates, or takes the whole model, and holds the same bits', async () => {
  for (const [bases, quantize] of [
    [[base('F32')], 'lean'],
    [[], 'u4'],
    [[], { first: 'bf16', down: 'u2', up: 'u4' }],
  ] as const) {
    const run = memoryFolder('run');
    const folders: Record<string, Folder> = {};
    const stop = new AbortController();
    const job: JobInput = { quantize, rounds: 4, quorum: 1 };
    const breaks = {
      ...SITES,
      b: {
        learn: async (given: Values, round: number) => {
          if (round === 3) stop.abort(new FedStreamError('aborted', 'stopped'));
          return (SITES.b as ScriptedSite).learn(given, round);
        },
      },
    };
    await expect(federate(job, breaks, { run, folders, stop })).rejects.toMatchObject({ code: 'aborted' });
    // The site's disk is new.
    folders.b = memoryFolder('b');
    const received: Values[] = [];
    const b: ScriptedSite = {
      bases,
      learn: (given, round) => {
        received.push(given);
        return (SITES.b as ScriptedSite).learn(given, round);
      },
    };
    await federate(job, { ...SITES, b }, { run, folders });
    expect(received.length).toBeGreaterThan(0);
    expect(bitsOf(await heldIn(folders.b))).toEqual(bitsOf(await heldIn(run)));
    expect(bitsOf(await heldIn(folders.a as Folder))).toEqual(bitsOf(await heldIn(run)));
  }
});

test('files of another run in a site’s folder are not used', async () => {
  const folders: Record<string, Folder> = {};
  await federate({ quantize: 'u4', rounds: 3 }, SITES, { folders, start: someValues(9) });
  const fresh = await federate({ quantize: 'u4', rounds: 3 }, SITES);
  const again = await federate({ quantize: 'u4', rounds: 3 }, SITES, { folders });
  expect(bitsOf(await again.master(3))).toEqual(bitsOf(await fresh.master(3)));
});

test('a held model that a crash of the machine has damaged is detected by its digest, and fetched again', async () => {
  const run = memoryFolder('run');
  const folders: Record<string, Folder> = {};
  const stop = new AbortController();
  const job: JobInput = { quantize: 'u4', rounds: 4 };
  const undisturbed = await federate(job, SITES);
  const stops: ScriptedSite = {
    learn: async (given, round) => {
      if (round === 3) stop.abort(new FedStreamError('aborted', 'stopped'));
      return (SITES.b as ScriptedSite).learn(given, round);
    },
  };
  await expect(federate(job, { ...SITES, b: stops }, { run, folders, stop })).rejects.toMatchObject({ code: 'aborted' });
  for (const own of [folders.a, folders.b, run]) {
    const folder = await heldFolder(own as Folder);
    const name = (await folder.list()).filter((one) => one.endsWith('.safetensors')).at(-1) as string;
    const file = await folder.create(name, { keep: true });
    await file.write(Uint8Array.of(1, 2, 3, 4), 9000);
    await file.close();
  }
  const { master } = await federate(job, SITES, { run, folders });
  expect(bitsOf(await master(4))).toEqual(bitsOf(await undisturbed.master(4)));
});

test('the loss of the initial model is recorded, and a warning if coding has made the start worse', async () => {
  const start = someValues(1);
  // The loss is 1 plus the distance from the initial model.
  const evaluate = (given: Values) => ({
    loss: 1 + (given.w as Float32Array).reduce((sum, value, i) => sum + Math.abs(value - (start.w?.[i] as number)), 0) / 64,
    samples: 10,
  });
  const still: ScriptedSite = { learn: (given) => given, evaluate };
  const coded = await federate({ quantize: { first: 'nf4', down: 'u4', up: 'u4' }, rounds: 2 }, { a: still, b: still });
  const evaluations = coded.events.flatMap((event) => (event.type === 'evaluation' ? [event] : []));
  expect(evaluations.find(({ round, held }) => round === 0 && !held)?.loss).toBe(1);
  expect(evaluations.find(({ held }) => held)?.loss).toBeGreaterThan(1.1);
  expect(coded.events.find(({ type }) => type === 'warning')).toMatchObject({
    message: expect.stringMatching(
      /the sites begin with a model that coding has made worse: loss 1\.\d+ instead of 1\.0000 \(\+\d+\.\d %\); begin with the model as it is: "quantize": \{"first": "base"\}/,
    ),
  });
  // The next broadcast restores what the first one lost: the sites then have the initial model.
  expect(evaluations.find(({ round }) => round === 2)?.loss).toBeLessThan(1.02);
  const exact = await federate({ quantize: 'u4', rounds: 2 }, { a: still, b: still });
  expect(exact.events.filter(({ type }) => type === 'warning')).toEqual([]);
  expect(exact.events.flatMap((event) => (event.type === 'evaluation' ? [event.loss] : []))).toEqual([1, 1, 1]);
});

test('whole weights, as in the paper: what coding loses is lost', async () => {
  const still: ScriptedSite = { learn: (given) => given };
  const { master } = await federate({ quantize: 'paper:nf4', rounds: 1 }, { a: still, b: still });
  const start = someValues(1);
  const model = await master(1);
  expect(bitsOf({ w: model.w as Float32Array })).not.toEqual(bitsOf({ w: start.w as Float32Array }));
  const exact = await federate({ quantize: 'nf4', rounds: 1 }, { a: still, b: still });
  expect(bitsOf(await exact.master(1))).toEqual(bitsOf(start));
});

test('tensors that a filter of the job leaves out of the results keep the server’s values', async () => {
  const job: JobInput = { quantize: 'u4', rounds: 2, filters: { 'result-out': [{ type: 'exclude', patterns: ['norm'] }] } };
  const { master, folders, run } = await federate(job, SITES);
  const [start, model] = [someValues(1), await master(2)];
  expect(bitsOf({ norm: model.norm as Float32Array })).toEqual(bitsOf({ norm: start.norm as Float32Array }));
  expect(bitsOf({ w: model.w as Float32Array })).not.toEqual(bitsOf({ w: start.w as Float32Array }));
  expect(bitsOf(await heldIn(folders.a as Folder))).toEqual(bitsOf(await heldIn(run)));
});

test('float64 in a global model is refused by name before any training', async () => {
  await expect(federate({ quantize: 'fp32' }, SITES, { dtype: 'F64' })).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringMatching(/tensor w is F64, which is not averaged/),
  });
});

test('error feedback: the residual of a code of four bits is added to the next update', async () => {
  const step: Change = (value, i, round) => value + (round === 1 ? 1e-3 * Math.sin(i * i) : 0);
  const distance = async (feedback: boolean): Promise<number> => {
    const { master } = await federate({ quantize: { down: 'fp32', up: 'u4', feedback }, rounds: 4 }, { a: learns(step) });
    const model = await master(4);
    const start = someValues(1);
    return (model.w as Float32Array).reduce((sum, value, i) => sum + (value - (start.w?.[i] as number) - 1e-3 * Math.sin(i * i)) ** 2, 0);
  };
  expect(await distance(true)).toBeLessThan((await distance(false)) / 20);
});
