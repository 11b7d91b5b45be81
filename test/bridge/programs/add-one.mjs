// A trainer for tests: adds one to every weight, or fails in the way that its arguments name.
import { spawn } from 'node:child_process';
import { init } from '../../../dist/node/trainer/bridge-client.js';

const [how = '', whenRound = '1'] = process.argv.slice(2);
const offered = () => [{ name: 'w', dtype: 'F32', shape: [3], values: Float32Array.of(0, 0.5, 1) }];
const bridge = await init({ initial: how === 'nothing-to-offer' ? undefined : offered });
process.stdout.write('working\n');
while (await bridge.isRunning()) {
  const { kind, currentRound, rounds, tensors } = await bridge.receive();
  const wrong = currentRound === Number(whenRound) ? how : '';
  if (wrong === 'crash') throw new Error('out of memory on purpose');
  if (wrong === 'leave') process.exit(0);
  if (wrong === 'garbage') {
    process.stderr.write('about to talk nonsense\n');
    bridge.step({ step: 0, loss: 'many' });
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  }
  if (wrong === 'hang') {
    // A child in a session of its own, like the workers of launchers.
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' });
    bridge.log(`child ${child.pid}`);
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  }
  if (kind === 'evaluate') {
    await bridge.send([], { evaluation: { loss: 1 / (currentRound + 1), samples: 4 } });
    continue;
  }
  for (const { values } of tensors) for (let i = 0; i < values.length; i++) values[i] += 1;
  bridge.step({ step: currentRound, loss: 1 / currentRound, learningRate: 0.1 });
  const sent =
    wrong === 'missing'
      ? tensors.slice(1)
      : wrong === 'extra'
        ? [...tensors, { ...tensors[0], name: 'x', values: tensors[0].values.slice() }]
        : tensors;
  if (wrong === 'shape') sent[0] = { ...sent[0], shape: [1, ...sent[0].shape] };
  await bridge.send(sent.toReversed?.() ?? [...sent].reverse(), {
    samples: 2,
    steps: 1,
    trainLoss: 1 / currentRound,
    evaluation: { loss: 1 / currentRound, samples: 4 },
    metrics: { rounds },
  });
}
