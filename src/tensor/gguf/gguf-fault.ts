// The error for a GGUF file that lies or is cut short.
import { FedStreamError } from '../../core/errors.js';

/** `bad-tensor-file`, with the file and the fault. */
export function ggufFault(label: string, what: string): FedStreamError {
  return new FedStreamError('bad-tensor-file', `${label}: ${what}`);
}
