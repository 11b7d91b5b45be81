// Attacks by frames: a peer that asks and does not read, asks too much, or sends what fits nowhere.
import { expect } from 'vitest';
import type { Attack } from '../attack.js';

export const sessionAttacks: readonly Attack[] = [
  {
    name: 'a request that nobody answers is refused, and the session lives',
    async run(target) {
      const peer = await target.insider();
      expect((await peer.request('shutdown')).code).toBe('unsupported');
      expect((await peer.request('join')).code).toBeUndefined();
      await peer.close();
    },
  },
];
