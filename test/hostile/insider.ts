// A run inside this process with honest scripted sites and mallory, who has valid credentials and
// speaks the protocol by hand.
import { z } from 'zod';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { masterOf } from '../../src/codec/float32.js';
import { decodeModel } from '../../src/codec/quantize.js';
import { FedStreamError } from '../../src/core/errors.js';
import { type Logger, silentLogger } from '../../src/core/log.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { memory } from '../../src/driver/memory.js';
import { type Memory, nextReplySchema } from '../../src/exchange/protocol.js';
import type { Task } from '../../src/exchange/task.js';
import { Session } from '../../src/frame/session.js';
import { Hub } from '../../src/hub/hub.js';
import { addJobRun } from '../../src/hub/job-run.js';
import type { JobInput } from '../../src/job/job.js';
import { parseJob } from '../../src/kit/kit.js';
import { Messages } from '../../src/message/messages.js';
import { openRunRecord, readRunRecord } from '../../src/record/run-record.js';
import type { Summary } from '../../src/record/summary-schema.js';
import { openGlobalModel, writeGlobalModel } from '../../src/server/global-models.js';
import { runClient } from '../../src/site/client.js';
import { siteLink } from '../../src/site/site-link.js';
import type { IncomingStream } from '../../src/stream/incoming-stream.js';
import { Streams } from '../../src/stream/streams.js';
import { modelOf, type ScriptedSite, someValues, trainerOf, type Values, valuesOf } from '../federation/scripted.js';

export const MALLORY = 'mallory';

export interface Mallory {
  readonly session: Session;
  readonly messages: Messages;
  readonly streams: Streams;
  next(): Promise<{ readonly task: Task } | { readonly stop: string }>;
  /** Requests an object; resolves with the stream, which the caller reads as it likes. */
  retrieve(name: string, kind?: 'file' | 'model'): Promise<IncomingStream>;
  ask(name: string, body: unknown): Promise<unknown>;
}

export interface LogLine {
  readonly level: keyof Logger;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export const honest = (step: number, more: Partial<ScriptedSite> = {}): ScriptedSite => ({
  learn: (given: Values, round) =>
    Object.fromEntries(Object.entries(given).map(([name, data]) => [name, data.map((value, i) => value + step * Math.cos(i + round))])),
  ...more,
});

/** Runs two honest sites and mallory to the end of the job. */
export async function runWith(
  job: JobInput,
  mallory: (peer: Mallory, again: () => Promise<Mallory>) => Promise<void>,
  sites: Readonly<Record<string, ScriptedSite>> = { 'site-1': honest(0.01), 'site-2': honest(-0.02) },
  memoryOfServer?: () => Memory,
) {
  const names = [...Object.keys(sites), MALLORY];
  const parsed = parseJob({ sites: names, quorum: names.length - 1, idleMs: 5000, rounds: 2, ...job }, 'test');
  const run = memoryFolder('run');
  await writeGlobalModel(run, 0, decodeModel(masterOf(modelOf(someValues(1), 'F32')), referenceCodecs));
  const { signal } = new AbortController();
  const lines: LogLine[] = [];
  const level = (name: keyof Logger) => (fields: Readonly<Record<string, unknown>>, message: string) =>
    void lines.push({ level: name, fields, message });
  const log: Logger = { debug: level('debug'), info: level('info'), warn: level('warn'), error: level('error') };
  const driver = memory();
  const url = 'memory://server';
  const hub = new Hub({ log });
  const record = await openRunRecord(run, { log });
  const common = { codecs: referenceCodecs, signal };
  const served = await addJobRun(hub, {
    ...common,
    log,
    job: parsed,
    run,
    files: { 'config.json': '{}' },
    emit: record.emit,
    ...(memoryOfServer && { memory: memoryOfServer }),
  });
  await hub.listen(driver, url);
  const clients = Object.entries(sites).map(async ([site, scripted]) => {
    const folder = memoryFolder(site);
    const link = siteLink({ ...common, log: silentLogger, driver, url, site, folder, retryMs: 500 });
    const makeTrainer = async () => trainerOf(scripted);
    const memoryUse = () => ({ rssBytes: 1, peakRssBytes: 2 });
    try {
      return await runClient({ ...common, log: silentLogger, site, link, folder, memory: memoryUse, makeTrainer });
    } finally {
      await link.close();
    }
  });
  const again = async (): Promise<Mallory> => connectMallory(new Session(await driver.connect(url), { name: MALLORY }));
  const attack = again().then((peer) => mallory(peer, again));
  try {
    const [result] = await Promise.all([served.finish(), attack, ...clients]);
    await record.close();
    const { summary }: { summary: Summary } = await readRunRecord(run);
    const model = await valuesOf(await openGlobalModel(run, parsed.rounds));
    return { result, summary, lines, run, model };
  } finally {
    await hub.close();
  }
}

async function connectMallory(session: Session): Promise<Mallory> {
  const arriving = new Map<number, (stream: IncomingStream) => void>();
  const messages = new Messages(session);
  const streams = new Streams(session, (stream) => {
    const { ask } = stream.meta as { ask: number };
    arriving.get(ask)?.(stream);
  });
  await session.start();
  let asked = 0;
  const ask = (name: string, body: unknown) => messages.request(name, body, z.unknown());
  return {
    session,
    messages,
    streams,
    ask,
    next: () => messages.request('next', {}, nextReplySchema),
    retrieve: async (name, kind = 'model') => {
      const number = asked++;
      const arrived = new Promise<IncomingStream>((resolve) => arriving.set(number, resolve));
      await ask('retrieve', { kind, name, ask: number });
      return arrived;
    },
  };
}

/** Fails every task that is left, so that the run can end. */
export async function failOn(peer: Mallory): Promise<void> {
  for (;;) {
    const next = await peer.next();
    if ('stop' in next) return peer.session.close();
    await peer.ask('fail', { task: next.task.id, code: 'internal', message: 'no more' });
  }
}

/** The error of a request that was refused. */
export async function refusal(of: Promise<unknown>): Promise<FedStreamError> {
  const error = await of.then(
    () => undefined,
    (failure: unknown) => failure,
  );
  if (!(error instanceof FedStreamError)) throw new Error('it was not refused');
  return error;
}
