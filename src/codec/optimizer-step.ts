// A step of an optimizer over one chunk of a model, in float32: the reference of the kernel of the
// same name in assembly/codec/optimizer-step.ts.

/**
 * The rules, in the order in which the kernel numbers them. `momentum` and `nesterov` are those of
 * torch's SGD; `adam`, `adagrad` and `yogi` are those of Reddi et al. 2021, *Adaptive Federated
 * Optimization*, without correction of the bias.
 */
export const OPTIMIZER_RULES = ['sgd', 'momentum', 'nesterov', 'adam', 'adagrad', 'yogi'] as const;

/** A rule and its numbers; each is rounded to float32 before it is used. */
export interface OptimizerRule {
  readonly name: (typeof OPTIMIZER_RULES)[number];
  readonly rate: number;
  /** The share of the model that stays, 1 without weight decay. */
  readonly keep: number;
  /** The share of the first moment (the velocity) that stays. */
  readonly beta1: number;
  /** The share of the second moment that stays. */
  readonly beta2: number;
  /** Added to the root of the second moment, above 0. */
  readonly tau: number;
}

/** The buffers of a step, which changes them where they lie. */
export interface OptimizerStep {
  readonly rule: OptimizerRule;
  readonly model: Float32Array;
  /** The moments that the rule keeps, in the order of `momentsOf`. */
  readonly moments: readonly Float32Array[];
}

/** The moments that a rule keeps from step to step. Without `beta1` the first is the update itself. */
export function momentsOf({ name, beta1 }: Pick<OptimizerRule, 'name' | 'beta1'>): readonly ('first' | 'second')[] {
  const first = name !== 'sgd' && beta1 > 0 ? (['first'] as const) : [];
  return isAdaptive(name) ? [...first, 'second'] : first;
}

/** True for the rules that divide by the root of a second moment. */
export function isAdaptive(name: OptimizerRule['name']): boolean {
  return OPTIMIZER_RULES.indexOf(name) > 2;
}

/**
 * Sorts the buffers of a step into those of the kernel. One that the rule does not keep is the
 * update's, which a step may overwrite: a first moment without `beta1` is just that.
 */
export function momentBuffers<T>(rule: OptimizerRule, update: T, moments: readonly T[]): { readonly first: T; readonly second: T } {
  const kept = momentsOf(rule);
  const of = (which: 'first' | 'second'): T => (kept.includes(which) ? (moments[kept.indexOf(which)] as T) : update);
  return { first: of('first'), second: of('second') };
}

const f = Math.fround;

/**
 * Moves the model along the update, and brings the moments up to date; overwrites the update. Every
 * operation is rounded to float32. Returns true if all that was written is finite.
 */
export function optimizerStep(update: Float32Array, { rule, model, moments }: OptimizerStep): boolean {
  const { first, second } = momentBuffers(rule, update, moments);
  if (isAdaptive(rule.name)) adaptive(rule, update, model, first, second);
  else if (rule.name === 'sgd') descend(rule, update, model);
  else accelerate(rule, update, model, first);
  return [model, ...moments].every(allFinite);
}

function descend({ keep, rate }: OptimizerRule, update: Float32Array, model: Float32Array): void {
  const [stays, speed] = [f(keep), f(rate)];
  for (let i = 0; i < model.length; i++) model[i] = f(stays * (model[i] as number)) + f(speed * (update[i] as number));
}

function accelerate(rule: OptimizerRule, update: Float32Array, model: Float32Array, velocity: Float32Array): void {
  const [stays, speed, beta] = [f(rule.keep), f(rule.rate), f(rule.beta1)];
  const ahead = rule.name === 'nesterov';
  for (let i = 0; i < model.length; i++) {
    const gradient = update[i] as number;
    const v = f(gradient + f(beta * (velocity[i] as number)));
    velocity[i] = v;
    model[i] = f(stays * (model[i] as number)) + f(speed * (ahead ? f(gradient + f(beta * v)) : v));
  }
}

function adaptive(rule: OptimizerRule, update: Float32Array, model: Float32Array, first: Float32Array, second: Float32Array): void {
  const { name } = rule;
  const [stays, speed, tau] = [f(rule.keep), f(rule.rate), f(rule.tau)];
  const [beta1, gain1, beta2, gain2] = [f(rule.beta1), f(1 - rule.beta1), f(rule.beta2), f(1 - rule.beta2)];
  for (let i = 0; i < model.length; i++) {
    const gradient = update[i] as number;
    const square = f(gradient * gradient);
    const m = f(f(beta1 * (first[i] as number)) + f(gain1 * gradient));
    let v = second[i] as number;
    if (name === 'adam') v = f(f(beta2 * v) + f(gain2 * square));
    else if (name === 'adagrad') v = f(v + square);
    else v = f(v - f(f(gain2 * square) * Math.sign(f(v - square))));
    first[i] = m;
    second[i] = v;
    model[i] = f(stays * (model[i] as number)) + f(f(speed * m) / f(f(Math.sqrt(v)) + tau));
  }
}

function allFinite(values: Float32Array): boolean {
  // An infinity or a NaN anywhere makes this sum NaN: 0 × x is 0 for every other value.
  let zero = 0;
  for (let i = 0; i < values.length; i++) zero += 0 * (values[i] as number);
  return zero === 0;
}
