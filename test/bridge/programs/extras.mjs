// A trainer for tests of extras: returns weights + mu × control, with `control` doubled and `seen`
// as extras, or fails in the way that its argument names.
import { init } from '../../../dist/node/trainer/bridge-client.js';

const [how = ''] = process.argv.slice(2);
const bridge = await init();
while (await bridge.isRunning()) {
  const { kind, tensors, extras, figures } = await bridge.receive();
  if (kind === 'evaluate') {
    await bridge.send([], { evaluation: { loss: 1, samples: 1 } });
    continue;
  }
  const names = Object.keys(extras);
  const control = extras.control === undefined ? undefined : await extras.control();
  const twice = await extras.control?.();
  const { mu = 1 } = figures;
  for (const [index, { values }] of tensors.entries())
    for (let i = 0; i < values.length; i++) values[i] += mu * (control?.[index].values[i] ?? 0);
  for (const { values } of twice ?? []) for (let i = 0; i < values.length; i++) values[i] *= 2;
  const seen = [{ name: 'names', dtype: 'F32', shape: [1], values: Float32Array.of(names.length) }];
  const sent = twice === undefined ? {} : { control: twice, seen };
  if (how === 'crash') {
    await bridge.send(tensors, { samples: 1, trainLoss: 'much' }, sent);
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  }
  if (how === 'name') sent['../x'] = seen;
  await bridge.send(tensors, { samples: 1, steps: 1, trainLoss: 0.5 }, sent);
}
