// A process of Python that has the rules in NumPy: a line asks, a line answers.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { canImport, python } from '../python/venv.js';

/** For `test.skipIf`. */
export const withoutNumpy = !canImport('numpy');

const SCRIPT = fileURLToPath(new URL('reference.py', import.meta.url));

/** One site's result: what it changed of the round's model, or its model itself. */
export interface ReferenceResult {
  readonly samples: number;
  readonly steps: number;
  readonly loss: number;
  readonly update?: Readonly<Record<string, string>>;
  readonly model?: Readonly<Record<string, string>>;
}

/** A model, and the results of each round that begins with it. */
export interface ReferenceRequest {
  readonly rule: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly previous: Readonly<Record<string, string>>;
  readonly rounds: readonly (readonly ReferenceResult[])[];
}

/** Float32 values as a request carries them. */
export function toBase64(values: Float32Array): string {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64');
}

/** NumPy, started once for a file of tests. */
export class Reference {
  readonly #process = spawn(python, [SCRIPT], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' },
  });
  readonly #lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  #errors = '';

  constructor() {
    this.#process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
  }

  /** The model after each round, in float64. */
  async models(request: ReferenceRequest): Promise<Record<string, Float64Array>[]> {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`NumPy ended: ${this.#errors}`);
    const models = JSON.parse(value) as Record<string, string>[];
    return models.map((model) => Object.fromEntries(Object.entries(model).map(([name, text]) => [name, doubles(text)])));
  }

  close(): void {
    this.#process.stdin.end();
  }
}

function doubles(text: string): Float64Array {
  const bytes = Uint8Array.from(Buffer.from(text, 'base64'));
  return new Float64Array(bytes.buffer);
}
