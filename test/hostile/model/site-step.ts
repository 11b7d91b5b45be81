// A step of a hostile server: something that it says to its site.
import type { Random } from '../../../src/core/random.js';
import type { Findings } from './findings.js';
import type { SitePeer } from './site-peer.js';
import type { SiteWorld } from './site-world.js';

export interface SiteScene {
  readonly world: SiteWorld;
  readonly random: Random;
  readonly findings: Findings;
  /** Lets so many milliseconds pass behind this step. */
  pass(ms: number): void;
}

export interface SiteStep {
  readonly name: string;
  readonly weight: number;
  run(scene: SiteScene, peer: SitePeer): void | Promise<void>;
}
