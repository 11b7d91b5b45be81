// The rule for names of tensors, which every reader and every writer asks.

/** The most characters (UTF-16 code units) of a tensor's name. */
export const MAX_TENSOR_NAME = 1024;

/** True for a text that may name a tensor: neither empty nor longer than `MAX_TENSOR_NAME`. */
export function isTensorName(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= MAX_TENSOR_NAME;
}

/** The fault of a name for a message, or undefined where it may name a tensor. */
export function tensorNameFault(name: string): string | undefined {
  if (name === '') return 'a tensor has an empty name; give it one before the model is used here';
  return name.length <= MAX_TENSOR_NAME
    ? undefined
    : `a tensor's name has ${name.length} characters, and at most ${MAX_TENSOR_NAME} are allowed: ${name.slice(0, 80)}…`;
}
