// A trainer of one's own in TypeScript: a linear model by gradient descent. The model could be anything; the last eight lines are all that FedStream asks for.
import { init } from 'fedstream/trainer';

const RATE = 0.5;
const truth = [1, -2, 3];
const bridge = await init({ initial: () => [{ name: 'weight', dtype: 'F32', shape: [3], values: new Float32Array(3) }] });
// Each site measures something else: its data depends on its name.
const shift = [...bridge.site].reduce((sum, letter) => sum + letter.charCodeAt(0), 0);
const xs = Array.from({ length: 200 }, (_, row) => truth.map((_, column) => Math.sin(shift + row * 3 + column * 7)));
const ys = xs.map((x) => x.reduce((sum, value, column) => sum + value * (truth[column] as number), 0));
const errors = (w: Float32Array) => xs.map((x, row) => x.reduce((sum, v, i) => sum + v * (w[i] as number), 0) - (ys[row] as number));
const meanSquare = (values: readonly number[]) => values.reduce((sum, value) => sum + value * value, 0) / values.length;

while (await bridge.isRunning()) {
  const { tensors, currentRound } = await bridge.receive();
  const weight = tensors[0].values;
  const evaluation = { loss: meanSquare(errors(weight)), samples: xs.length };
  const e = errors(weight);
  for (let i = 0; i < 3; i++)
    weight[i] -= ((2 * RATE) / xs.length) * xs.reduce((sum, x, row) => sum + (e[row] as number) * (x[i] as number), 0);
  bridge.step({ step: currentRound, loss: evaluation.loss, learningRate: RATE });
  await bridge.send(tensors, { samples: xs.length, steps: 1, trainLoss: evaluation.loss, evaluation });
}
