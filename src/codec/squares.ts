// The sum of the squares of float32 values: the reference of the kernel of the same name.

/**
 * The sum in float64, exact but for the rounding of its additions: four sums, one for each index
 * modulo 4, then (0 + 1) + (2 + 3). It cannot overflow, so it is finite if all values are.
 */
export function sumOfSquares(values: Float32Array): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = values.length - (values.length % 4);
  for (let i = 0; i < whole; i += 4) {
    const [w, x] = [values[i] as number, values[i + 1] as number];
    const [y, z] = [values[i + 2] as number, values[i + 3] as number];
    a += w * w;
    b += x * x;
    c += y * y;
    d += z * z;
  }
  if (whole < values.length) a += (values[whole] as number) ** 2;
  if (whole + 1 < values.length) b += (values[whole + 1] as number) ** 2;
  if (whole + 2 < values.length) c += (values[whole + 2] as number) ** 2;
  return a + b + (c + d);
}
