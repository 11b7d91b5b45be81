// A step of an insider: something that it says, well- or ill-formed, and what the server may
// make of it.
import type { Random } from '../../../src/core/random.js';
import type { Findings } from './findings.js';
import type { Insider } from './insider.js';
import type { ResultObject } from './results.js';
import type { World } from './world.js';

export interface Scene {
  readonly world: World;
  readonly random: Random;
  readonly findings: Findings;
  readonly insiders: Insider[];
  /** Names that an insider may have. */
  readonly sites: readonly string[];
  readonly objects: readonly ResultObject[];
  /** True if the server has taken in everything that was said before this step. */
  readonly settled: boolean;
  /** Lets so many milliseconds pass before the next step. */
  pass(ms: number): void;
}

export interface Step {
  readonly name: string;
  readonly weight: number;
  /** Says it. `undefined` as the insider: nobody is connected. */
  run(scene: Scene, insider: Insider): void | Promise<void>;
}
