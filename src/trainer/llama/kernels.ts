// The kernels of assembly/llama. Pointers are byte offsets into the shared memory, counts are
// elements.

/** Functions that the module exports. */
export interface LlamaKernels {
  gemm(
    a: number,
    ars: number,
    acs: number,
    b: number,
    brs: number,
    bcs: number,
    c: number,
    ldc: number,
    m: number,
    n: number,
    k: number,
    accumulate: number,
    scratch: number,
  ): void;
  rmsNorm(x: number, w: number, y: number, rstd: number, first: number, end: number, d: number, eps: number): void;
  rmsNormBackward(
    x: number,
    w: number,
    dy: number,
    rstd: number,
    dx: number,
    partial: number,
    first: number,
    end: number,
    rows: number,
    d: number,
  ): void;
  rotate(x: number, table: number, first: number, end: number, sequence: number, heads: number, headDim: number, direction: number): void;
  softmaxRows(s: number, stride: number, first: number, end: number, width: number, scale: number): void;
  softmaxRowsBackward(p: number, dp: number, stride: number, first: number, end: number, width: number, scale: number): void;
  swiglu(g: number, u: number, h: number, first: number, end: number): void;
  swigluBackward(g: number, u: number, dh: number, first: number, end: number): void;
  crossEntropy(logits: number, targets: number, figures: number, first: number, end: number, vocabulary: number, scale: number): void;
  addBias(y: number, b: number, first: number, end: number, n: number): void;
  sumRows(dy: number, to: number, rows: number, first: number, end: number, n: number): void;
  addTo(to: number, from: number, first: number, end: number): void;
  pull(to: number, w: number, anchor: number, mu: number, first: number, end: number): void;
  fill(to: number, first: number, end: number): void;
  gatherRows(from: number, index: number, to: number, first: number, end: number, d: number): void;
  scatterRows(from: number, index: number, to: number, first: number, end: number, d: number): void;
  scatterAddColumns(from: number, index: number, to: number, rows: number, first: number, end: number, d: number, without: number): void;
  sumOfSquares(x: number, first: number, end: number): number;
  adamw(
    w: number,
    g: number,
    m: number,
    v: number,
    first: number,
    end: number,
    rate: number,
    beta1: number,
    beta2: number,
    epsilon: number,
    decay: number,
    clip: number,
    correction1: number,
    correction2: number,
  ): void;
}

/** Makes a thread's instance over the shared memory. */
export function instantiateKernels(module: WebAssembly.Module, memory: WebAssembly.Memory): LlamaKernels {
  const instance = new WebAssembly.Instance(module, { env: { memory, abort: () => {} } });
  return instance.exports as unknown as LlamaKernels;
}
