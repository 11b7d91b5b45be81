// Attacks by size: manifests, models and headers that are larger than they may be.
import { decode } from '@msgpack/msgpack';
import { expect } from 'vitest';
import { encodeFrame } from '../../../src/frame/frame.js';
import { checksumOf } from '../../../src/stream/hashed-memory.js';
import { encodeDataHeader } from '../../../src/stream/stream-frames.js';
import type { Attack, Target } from '../attack.js';
import type { Peer } from '../peer.js';

const MIB = 2 ** 20;
const PIECE_BYTES = 64 * 1024;

/** The prefix of an object whose manifest has so many bytes, and as much of it as fits into a leaf. */
function headOf(manifestBytes: number): Uint8Array {
  const head = new Uint8Array(MIB).fill(0x20);
  const view = new DataView(head.buffer);
  view.setUint32(0, 0x314f5346, true);
  view.setUint32(4, 1, true);
  view.setBigUint64(8, BigInt(manifestBytes), true);
  return head;
}

/** Sends an object as the result of a task; resolves with the server's refusal. */
async function offered(peer: Peer, task: string, totalBytes: number | undefined, head: Uint8Array) {
  const figures = { task, samples: 1, steps: 1, trainLoss: 1, counts: {} };
  await peer.send('open', 1, { meta: { kind: 'result', figures }, ...(totalBytes !== undefined && { totalBytes }) });
  for (let sent = 0; ; ) {
    const frame = await peer.read();
    if (!frame) throw new Error('the session ended');
    if (frame.type === 'refuse') return { sent, ...(decode(frame.header) as { code: string; message: string }) };
    if (frame.type !== 'accept' && frame.type !== 'credit') continue;
    const { limit } = decode(frame.header) as { limit: number };
    for (; sent + PIECE_BYTES <= limit; sent += PIECE_BYTES) {
      const at = sent % MIB;
      const sums = at + PIECE_BYTES === MIB ? [checksumOf(head)] : [];
      await peer.sendBytes(...encodeFrame('data', 1, encodeDataHeader(sent, sums), head.subarray(at, at + PIECE_BYTES)));
    }
  }
}

/** The id of the insider's task; another attack may have ended it. */
async function taskOf({ insider }: Target): Promise<{ peer: Peer; task: string }> {
  const peer = await insider();
  const next = peer.request('next').then(({ body }) => (body as { task?: { id: string } }).task?.id);
  next.catch(() => {});
  const task = await Promise.race([next, new Promise<undefined>((resolve) => setTimeout(resolve, 3000))]);
  return { peer, task: task ?? 'train-1-mallory' };
}

export const sizesAttacks: readonly Attack[] = [
  {
    name: 'a result with a manifest of 60 MiB (budget manifestFactor)',
    line: /a result of mallory was not accepted/,
    async run(target) {
      const { peer, task } = await taskOf(target);
      const { code, message } = await offered(peer, task, undefined, headOf(60 * MIB));
      expect(['limit', 'refused']).toContain(code);
      if (code === 'limit') expect(message).toMatch(/claims a manifest of 62914560 bytes/);
      await peer.close();
    },
  },
  {
    name: 'a result of a petabyte, and one that does not say its size (budget objectFactor)',
    // Two sessions, and a result refused in each.
    mostLines: 6,
    line: /a result of mallory was not accepted/,
    async run(target) {
      for (const totalBytes of [2 ** 50, undefined]) {
        const { peer, task } = await taskOf(target);
        const { code, sent } = await offered(peer, task, totalBytes, headOf(300 * MIB));
        expect(['limit', 'refused']).toContain(code);
        expect(sent).toBeLessThanOrEqual(64 * MIB);
        await peer.close();
      }
    },
  },
];
