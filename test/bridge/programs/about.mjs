// A trainer for tests that tells what its training rests on, and adds one to every weight.
import { init } from '../../../dist/node/trainer/bridge-client.js';

const [alpha = '16', failsIn = '0'] = process.argv.slice(2);
const initial = () => [{ name: 'w', dtype: 'F32', shape: [3], values: Float32Array.of(0, 0.5, 1) }];
const bridge = await init({ initial, fingerprints: { 'adapter.lora_alpha': alpha, 'adapter.r': '8' } });
while (await bridge.isRunning()) {
  const { kind, currentRound, tensors } = await bridge.receive();
  if (kind === 'train' && currentRound === Number(failsIn)) throw new Error('out of memory on purpose');
  if (kind === 'train') process.stdout.write(`trains round ${currentRound}\n`);
  for (const { values } of tensors) for (let i = 0; i < values.length; i++) values[i] += 1;
  await bridge.send(kind === 'evaluate' ? [] : tensors, { samples: 2, steps: 1, trainLoss: 1, evaluation: { loss: 1, samples: 4 } });
}
