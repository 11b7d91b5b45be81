// Student's t, the normal and the power of an equivalence test, by quadrature: no table, no gamma
// function.

const PANELS = 4000;

/**
 * Simpson's rule. The integrands here are smooth and flat or zero at their ends, so that it is
 * exact to some twelve digits.
 */
function integrate(f, from, to) {
  const width = (to - from) / PANELS;
  let sum = f(from) + f(to);
  for (let i = 1; i < PANELS; i++) sum += f(from + i * width) * (i % 2 === 1 ? 4 : 2);
  return (sum * width) / 3;
}

/**
 * P(T > t) with `freedom` degrees. With t = √ν tan θ the density becomes cos^(ν − 1) θ over a
 * finite range, so that far tails keep their digits.
 */
export function tTail(t, freedom) {
  if (t < 0) return 1 - tTail(-t, freedom);
  const density = (theta) => Math.cos(theta) ** (freedom - 1);
  const half = integrate(density, 0, Math.PI / 2);
  return integrate(density, Math.atan(t / Math.sqrt(freedom)), Math.PI / 2) / half / 2;
}

/** The quantile: a share `p` of the distribution lies below it. */
export function tQuantile(p, freedom) {
  if (p < 0.5) return -tQuantile(1 - p, freedom);
  let low = 0;
  let high = 1;
  while (tTail(high, freedom) > 1 - p) high *= 2;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (tTail(middle, freedom) > 1 - p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** P(|Z| < z) of a standard normal. */
function normalWithin(z) {
  return z <= 0 ? 0 : 2 * integrate((x) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI), 0, Math.min(z, 12));
}

/** The largest s / σ that matters, even at two degrees of freedom. */
const WIDEST = 6;
const STEPS = 300;

/**
 * The power of two one-sided tests: the probability that they find a true difference of 0 within
 * ±margin, at `level`, if `count` paired differences scatter by `deviation`. The mean is normal and
 * s independent of it, which leaves one integral over the distribution of s.
 */
export function equivalencePower({ count, deviation, margin, level = 0.05 }) {
  if (count < 2) return 0;
  if (deviation === 0) return 1;
  const freedom = count - 1;
  const t = tQuantile(1 - level, freedom);
  const standardError = deviation / Math.sqrt(count);
  let power = 0;
  let total = 0;
  for (let i = 0; i < STEPS; i++) {
    const u = ((i + 0.5) * WIDEST) / STEPS; // s / σ
    const weight = u ** (freedom - 1) * Math.exp((-freedom * (u * u - 1)) / 2);
    total += weight;
    if (weight > 0) power += weight * normalWithin(margin / standardError - t * u);
  }
  return power / total;
}
