// Processes are killed (SIGKILL) at any instant of a transfer and started again: the transfer
// resumes and ends whole.
import { type ChildProcess, fork } from 'node:child_process';
import { existsSync, linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { encodeModel } from '../../src/codec/quantize.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { randomStream } from '../../src/core/random.js';
import { nodeFolder } from '../../src/node/storage/node-folder.js';
import { LEAF_BYTES } from '../../src/stream/leaf-sums.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import { openSafetensors, writeSafetensors } from '../../src/tensor/safetensors.js';
import type { TransferFigures } from '../../src/transfer/figures.js';
import { spoolInfo, writeSpool } from '../../src/transfer/spool.js';
import { someFloats } from '../wire/models.js';
import { inProportion, seeds } from './cases.js';
import { freePort } from './free-port.js';
import { badWeather } from './proxy.js';

const parent = mkdtempSync(join(tmpdir(), 'fedstream-kills-'));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

const digests: Record<string, string> = {};

beforeAll(async () => {
  const model = memoryStateDict([
    { name: 'w', dtype: 'F32', shape: [1200, 1000], data: someFloats(1_200_000, 3) },
    { name: 'v', dtype: 'F32', shape: [700_001], data: someFloats(700_001, 4) },
  ]);
  await writeSafetensors(nodeFolder(parent), 'model.safetensors', model);
  const stored = await openSafetensors(nodeFolder(parent), 'model.safetensors');
  for (const codec of ['raw', 'fp16']) {
    const coded = codec === 'raw' ? stored : encodeModel(stored, () => ({ codec }), referenceCodecs);
    digests[codec] = (await writeSpool(coded, referenceCodecs, memoryFolder(), 'x')).digest;
  }
});

/** A side that is started again whenever it is killed; `run` rejects if it fails by itself. */
class Side {
  readonly #script: string;
  readonly #settings: object;
  #child: ChildProcess | undefined;
  figures: TransferFigures | undefined;
  kills = 0;
  began = false;
  /** Standard error of all its processes. */
  said = '';
  /** Called after it was killed, before it is started again. */
  onKilled: () => void = () => {};

  constructor(script: string, settings: object) {
    this.#script = fileURLToPath(new URL(script, import.meta.url));
    this.#settings = settings;
  }

  /** Resolves once it ends by itself, or by `end`. */
  async run(): Promise<void> {
    for (;;) {
      const child = fork(this.#script, [JSON.stringify(this.#settings)], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
      this.#child = child;
      child.stderr?.on('data', (text) => {
        this.said += text;
      });
      child.on('message', (message: { figures?: TransferFigures; began?: boolean }) => {
        if (this.#child === child) this.figures ??= message.figures;
        this.began ||= message.began ?? false;
      });
      const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => child.on('close', (...end) => resolve(end)));
      if (code === 0 || signal === 'SIGTERM') return;
      if (signal !== 'SIGKILL') throw new Error(`${this.#script} ended with ${code ?? signal}: ${this.said}`);
      // Its last figures may be of a try that the next process has to repeat.
      this.figures = undefined;
      this.onKilled();
    }
  }

  kill(): void {
    this.kills++;
    this.#child?.kill('SIGKILL');
  }

  /** Ends it for good. */
  end(): void {
    this.#child?.kill('SIGTERM');
  }
}

const size = (path: string): number => {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
};

/**
 * The number of verified leaves that the killed receiver has left; undefined if the sender knows
 * already that the receiver has the whole object, so that a new receiver begins anew.
 */
function verifiedLeaves(folder: string): number | undefined {
  const [whole, part] = [join(folder, 'a'), join(folder, 'a.part')];
  if (existsSync(whole) && !existsSync(`${part}.json`)) return undefined;
  const noted = Math.floor(size(`${part}.sums`) / 8);
  return Math.min(Math.floor(size(existsSync(part) ? part : whole) / LEAF_BYTES), noted);
}

const met = { kills: 0, resumed: 0 };

test.each(seeds(30))('a transfer survives kills (seed %i)', { timeout: 120_000 }, async (seed) => {
  const random = randomStream(seed, 'kills');
  const codec = seed % 2 === 0 ? 'raw' : 'fp16';
  const mode = seed % 3 === 0 ? 'container' : 'file';
  const [mine, theirs] = [join(parent, `${seed}-sent`), join(parent, `${seed}-received`)];
  for (const folder of [mine, theirs]) mkdirSync(folder);
  linkSync(join(parent, 'model.safetensors'), join(mine, 'model.safetensors'));
  const port = await freePort();
  // Slow enough that most kills happen during a transfer.
  const proxy = await badWeather(() => port, { seed, bytesPerSecond: 1.5e7 });
  const sender = new Side('./send-side.mjs', { port, folder: mine, mode, codec });
  const receiver = new Side('./receive-side.mjs', { port: proxy.port, folder: theirs });
  const serving = sender.run();
  const received = receiver.run();
  let floor = 0;
  receiver.onKilled = () => {
    const verified = verifiedLeaves(theirs);
    floor = verified === undefined ? 0 : Math.max(floor, verified);
  };
  let over = false;
  const killing = async (): Promise<void> => {
    for (let kills = 1 + random.integer(4); kills > 0 && !receiver.figures; kills--) {
      while (!receiver.began && !receiver.figures && !over) await sleep(5);
      await sleep(random.integer(500));
      if (receiver.figures || over) break;
      if (random.uniform() < 0.5) sender.kill();
      else {
        receiver.began = false;
        receiver.kill();
      }
    }
  };
  try {
    const stuck = sleep(110_000, { stuck: true }, { ref: false });
    const first = await Promise.race([Promise.all([killing(), received]), serving, stuck]);
    if (!receiver.figures) throw new Error(`no end (${JSON.stringify(first)}). Sender: ${sender.said}\nReceiver: ${receiver.said}`);
  } finally {
    over = true;
    sender.end();
    receiver.end();
    await proxy.close();
  }
  await serving;
  const figures = receiver.figures as TransferFigures;
  expect(figures.digest).toBe(digests[codec]);
  expect((await spoolInfo(nodeFolder(theirs), 'a')).digest).toBe(digests[codec]);
  expect(figures.resumedBytes).toBeGreaterThanOrEqual(floor * LEAF_BYTES);
  expect(readFileSync(join(theirs, 'a')).length).toBe(figures.objectBytes);
  met.kills += sender.kills + receiver.kills;
  met.resumed += figures.resumedBytes;
});

test('processes were killed, and transfers resumed', () => {
  expect(met.kills).toBeGreaterThan(inProportion(20));
  expect(met.resumed).toBeGreaterThan(inProportion(10) * LEAF_BYTES);
});
