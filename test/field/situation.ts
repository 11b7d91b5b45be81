// A table of what people bring (files, data, scripts, machines), each row run by the suite and told in the guide.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

interface Brought<Input> {
  /** What somebody brings, as the guide's table says it: "a Git LFS pointer named .safetensors". */
  readonly name: string;
  /** The kind of source that the situation is known from: "transformers", "datasets", "a shared folder". */
  readonly from: string;
  readonly input: Input;
  /** For the guide: what comes of it, or what to do, in one sentence. */
  readonly advice: string;
}

/** It works: `run` returns `gives` (asymmetric matchers such as `expect.stringMatching` may be in it). */
interface Works {
  readonly gives: unknown;
  /** What is said about it beside that. */
  readonly warning?: RegExp;
}

/** It cannot be used: `run` throws one error that says what is wrong with what, and what to do. */
interface Refused {
  readonly refusal: RegExp;
}

export type Situation<Input> = Brought<Input> & (Works | Refused);

/** What a row may use while it runs. */
export interface Surroundings {
  /** An empty folder of the row's own. */
  readonly folder: string;
  /** Takes what the product says while it works: `warning` of the row is looked for in it. */
  warn(text: string): void;
}

export interface FieldTable<Input> {
  /** The heading in the guide: "Model files". */
  readonly title: string;
  /** One or two sentences under the heading. */
  readonly intro: string;
  run(input: Input, surroundings: Surroundings): Promise<unknown>;
  readonly rows: readonly Situation<Input>[];
}

/** The word for a row's outcome in the guide. */
export function outcomeOf(row: Situation<unknown>): 'works' | 'warned' | 'refused' {
  if ('refusal' in row) return 'refused';
  return row.warning ? 'warned' : 'works';
}

/** Runs each row as a test. */
export function testTable<Input>({ title, rows, run }: FieldTable<Input>): void {
  test.each(rows.map((row) => [row.name, row] as const))(`${title}: %s`, async (_, row) => {
    const folder = mkdtempSync(join(tmpdir(), 'fedstream-field-'));
    const warnings: string[] = [];
    const running = () => run(row.input, { folder, warn: (text) => warnings.push(text) });
    try {
      if ('refusal' in row) await expect(running()).rejects.toThrow(row.refusal);
      else {
        expect(await running()).toEqual(row.gives);
        if (row.warning) expect(warnings.join('\n')).toMatch(row.warning);
        else expect(warnings).toEqual([]);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
