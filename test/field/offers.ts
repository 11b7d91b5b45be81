// What models sites offer where a job has none. Each row is a federation of one round in this
// process; whoever is asked first is the first by name.
import { runSite } from '../../src/api/run-site.js';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { silentLogger } from '../../src/core/log.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { memory } from '../../src/driver/memory.js';
import { runServer } from '../../src/hub/server.js';
import type { JobInput } from '../../src/job/job.js';
import { parseJob } from '../../src/kit/kit.js';
import { openGlobalModel } from '../../src/server/global-models.js';
import type { FieldTable } from './situation.js';
import { modelOf, numbers, of, type Tensors, trainerOf, valuesOf } from './small-models.js';

interface Offering {
  /** The models of the sites `a`, `b`, …; each adds nothing to what it gets but the result. */
  readonly offers: readonly Tensors[];
  readonly tied?: Readonly<Record<string, string>>;
  readonly results: readonly Tensors[];
  readonly job?: JobInput;
}

async function offered({ offers, tied, results, job }: Offering, warn: (text: string) => void) {
  const sites = offers.map((_, i) => 'abcdef'[i] as string);
  const run = memoryFolder('run');
  const driver = memory();
  const stop = new AbortController();
  const common = { codecs: referenceCodecs, driver, url: 'memory://server', log: silentLogger, signal: stop.signal };
  const running: Promise<unknown>[] = [];
  const start = (site: string, i: number): void => {
    const offer = async () => ({ model: modelOf(offers[i] as Tensors, tied), files: {} });
    const trainer = { ...trainerOf(results[i] as Tensors, 1), offer };
    const memoryUse = () => ({ rssBytes: 0, peakRssBytes: 0 });
    running.push(
      runSite({ ...common, site, folder: memoryFolder(site), memory: memoryUse, makeTrainer: async () => trainer }).catch(() => {}),
    );
  };
  const input: JobInput = { rounds: 1, sites, quantize: 'fp32', trainer: { name: 'own' }, model: 'offered', normBound: 'off', ...job };
  try {
    await runServer({
      ...common,
      job: parseJob(input, 'the job'),
      run,
      files: {},
      emit: (event) => {
        if (event.type === 'warning') warn(event.message);
      },
      listeners: [common],
      onListening: () => sites.forEach(start),
    });
  } finally {
    stop.abort();
    await Promise.allSettled(running);
  }
  const model = await openGlobalModel(run, 1);
  const found = { values: await valuesOf(model), tied: model.manifest.tied };
  await model.close?.();
  return found;
}

const ONE = { w: numbers(1) };
const DOUBLE = { w: of('F64', 1) };

export const OFFERS: FieldTable<Offering> = {
  title: 'Models that a site offers',
  intro: 'A job without a model begins with the one that a site offers. It is checked by name, dtype and size before it travels.',
  run: (input, { warn }) => offered(input, warn),
  rows: [
    {
      name: 'an offered model in float32',
      from: 'Flower',
      input: { offers: [{ w: numbers(9) }, ONE], results: [ONE, { w: numbers(2) }] },
      gives: { values: { w: [1.5] }, tied: {} },
      advice: 'The first site by name offers, and all sites begin with that model.',
    },
    {
      name: 'an offered model in float64, and another site that has float32',
      from: 'NumPy',
      input: { offers: [DOUBLE, ONE], results: [ONE, { w: numbers(2) }] },
      gives: { values: { w: [1.5] }, tied: {} },
      warning: /no initial model from a: .*tensor w is F64, which is not averaged.*array\.astype\("float32"\)/,
      advice: 'The next site is asked, and a warning says why.',
    },
    {
      name: 'offered models in float64 alone',
      from: 'NumPy',
      input: { offers: [DOUBLE, DOUBLE], results: [ONE, ONE] },
      refusal: /no site offered an initial model: a .*tensor w is F64.*; b .*tensor w is F64/,
      advice: 'Convert the arrays: `array.astype("float32")`.',
    },
    {
      name: 'an offered model in 8-bit floats',
      from: 'PyTorch',
      input: { offers: [{ w: of('F8_E4M3', 1) }], results: [ONE] },
      refusal: /tensor w is F8_E4M3, which is not averaged/,
      advice: 'Convert the tensors: `tensor.to(torch.float32)`.',
    },
    {
      name: 'an offered model with NaN',
      from: 'PyTorch',
      input: { offers: [{ w: numbers(1, Number.NaN) }], results: [ONE] },
      refusal: /tensor w has NaN at element 1/,
      advice: 'A model with a value that is not finite is refused by name of tensor and element.',
    },
    {
      name: 'an offered model with a tied tensor',
      from: 'transformers',
      input: { offers: [ONE, ONE], tied: { head: 'w' }, results: [ONE, { w: numbers(2) }] },
      gives: { values: { w: [1.5] }, tied: { head: 'w' } },
      advice: 'The tie is kept: the tensor travels once.',
    },
    {
      name: 'an offered model that is too large for the job',
      from: 'NVFlare',
      input: { offers: [{ w: numbers(...new Array(100).fill(1)) }], results: [ONE], job: { offerBytes: 399 } },
      refusal: /the model that a offers has 400 bytes; the job takes at most 399 \(offerBytes\)/,
      advice: 'Raise `offerBytes` in the job.',
    },
  ],
};
