// The types of tensors in GGUF, as ggml.h numbers them, and the bytes of their blocks.
import type { Dtype } from '../dtype.js';

/** A type: its name in llama.cpp, and how many values a block of how many bytes has. */
export interface GgufType {
  readonly name: string;
  readonly blockElements: number;
  readonly blockBytes: number;
  /** The same dtype of safetensors, where there is one: the bytes are equal. */
  readonly dtype?: Dtype;
}

const plain = (name: string, dtype: Dtype, blockBytes: number): GgufType => ({ name, blockElements: 1, blockBytes, dtype });
const coded = (name: string, blockElements: number, blockBytes: number): GgufType => ({ name, blockElements, blockBytes });

/** Every type by its number; sizes as in `GGML_QUANT_SIZES` of the gguf package. */
export const GGUF_TYPES: ReadonlyMap<number, GgufType> = new Map([
  [0, plain('F32', 'F32', 4)],
  [1, plain('F16', 'F16', 2)],
  [2, coded('Q4_0', 32, 18)],
  [3, coded('Q4_1', 32, 20)],
  [6, coded('Q5_0', 32, 22)],
  [7, coded('Q5_1', 32, 24)],
  [8, coded('Q8_0', 32, 34)],
  [9, coded('Q8_1', 32, 40)],
  [10, coded('Q2_K', 256, 84)],
  [11, coded('Q3_K', 256, 110)],
  [12, coded('Q4_K', 256, 144)],
  [13, coded('Q5_K', 256, 176)],
  [14, coded('Q6_K', 256, 210)],
  [15, coded('Q8_K', 256, 292)],
  [16, coded('IQ2_XXS', 256, 66)],
  [17, coded('IQ2_XS', 256, 74)],
  [18, coded('IQ3_XXS', 256, 98)],
  [19, coded('IQ1_S', 256, 50)],
  [20, coded('IQ4_NL', 32, 18)],
  [21, coded('IQ3_S', 256, 110)],
  [22, coded('IQ2_S', 256, 82)],
  [23, coded('IQ4_XS', 256, 136)],
  [24, plain('I8', 'I8', 1)],
  [25, plain('I16', 'I16', 2)],
  [26, plain('I32', 'I32', 4)],
  [27, plain('I64', 'I64', 8)],
  [28, plain('F64', 'F64', 8)],
  [29, coded('IQ1_M', 256, 56)],
  [30, plain('BF16', 'BF16', 2)],
  [34, coded('TQ1_0', 256, 54)],
  [35, coded('TQ2_0', 256, 66)],
  [39, coded('MXFP4', 32, 17)],
  [40, coded('NVFP4', 64, 36)],
  [41, coded('Q1_0', 128, 18)],
]);
