// The kernels of the built-in trainer: float32, plain SIMD, one order of additions whatever the
// number of threads.
export { gemm } from './gemm';
export { rmsNorm, rmsNormBackward } from './rms-norm';
export { rotate } from './rotary';
export { addBias, sumRows } from './bias';
export { softmaxRows, softmaxRowsBackward } from './attention';
export { swiglu, swigluBackward } from './swiglu';
export { crossEntropy } from './cross-entropy';
export { addTo, fill, gatherRows, pull, scatterRows, scatterAddColumns, sumOfSquares } from './rows';
export { adamw } from './adamw';
