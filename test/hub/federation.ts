// A run in a hub, with scripted sites and a guest: a member that sends the test's requests and
// trains nothing.
import { z } from 'zod';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { masterOf } from '../../src/codec/float32.js';
import { decodeModel } from '../../src/codec/quantize.js';
import { silentLogger } from '../../src/core/log.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Driver } from '../../src/driver/driver.js';
import { nextReplySchema } from '../../src/exchange/protocol.js';
import { Retriever } from '../../src/exchange/retriever.js';
import type { Task } from '../../src/exchange/task.js';
import type { SiteCredentials } from '../../src/frame/proof.js';
import { Session } from '../../src/frame/session.js';
import type { AdmissionRules } from '../../src/hub/admission.js';
import type { Hub } from '../../src/hub/hub.js';
import { addJobRun } from '../../src/hub/job-run.js';
import type { JobInput } from '../../src/job/job.js';
import { parseJob } from '../../src/kit/kit.js';
import type { EventBody } from '../../src/record/events.js';
import { openGlobalModel, writeGlobalModel } from '../../src/server/global-models.js';
import { runClient } from '../../src/site/client.js';
import { siteLink } from '../../src/site/site-link.js';
import { modelOf, type ScriptedSite, someValues, trainerOf, valuesOf } from '../federation/scripted.js';

export interface Plan {
  readonly name: string;
  readonly job: JobInput;
  readonly sites: Record<string, ScriptedSite>;
  readonly files: Record<string, string>;
  /** Makes the first model. */
  readonly seed: number;
  readonly admission?: AdmissionRules;
  /** Driver, URL and credentials of each of its sites, and of the guest. */
  reach(site: string): { readonly driver: Driver; readonly url: string; readonly credentials?: SiteCredentials | undefined };
  /** Called for each task of the guest, which it then fails. */
  guest?(task: Task, guest: Retriever): Promise<void>;
}

export const GUEST = 'guest';

/**
 * Runs to its end, beside other runs of the hub; the guest fails every task, and the round goes on
 * without it.
 */
export async function federateIn(hub: Hub, plan: Plan) {
  const { name, sites, files, seed, admission = {} } = plan;
  const names = [...Object.keys(sites), GUEST];
  const job = parseJob({ name, sites: names, quorum: names.length - 1, idleMs: 5000, ...plan.job }, 'test');
  const run = memoryFolder(name);
  await writeGlobalModel(run, 0, decodeModel(masterOf(modelOf(someValues(seed), 'F32')), referenceCodecs));
  const events: EventBody[] = [];
  const { signal } = new AbortController();
  const common = { codecs: referenceCodecs, log: silentLogger, signal };
  const emit = (event: EventBody): void => void events.push(event);
  const served = await addJobRun(hub, { ...common, job, run, files, admission, emit });
  const joined: Record<string, readonly string[]> = {};
  const clients = Object.entries(sites).map(async ([site, scripted]) => {
    const folder = memoryFolder(site);
    const link = siteLink({ ...common, ...plan.reach(site), site, run: name, folder, retryMs: 500 });
    const makeTrainer = async (offered: { files: Readonly<Record<string, string>> }) => {
      joined[site] = Object.keys(offered.files);
      return trainerOf(scripted);
    };
    try {
      return await runClient({ ...common, site, link, folder, memory: () => ({ rssBytes: 1, peakRssBytes: 2 }), makeTrainer });
    } finally {
      await link.close();
    }
  });
  const result = await Promise.all([served.finish(), beGuest(plan), ...clients]);
  return { result: result[0], events, joined, model: await valuesOf(await openGlobalModel(run, job.rounds)) };
}

async function beGuest({ name, reach, guest }: Plan): Promise<void> {
  const { driver, url, credentials } = reach(GUEST);
  const session = new Session(await driver.connect(url), { name: GUEST, run: name, credentials });
  const retriever = new Retriever(session, { codecs: referenceCodecs });
  const { messages } = retriever;
  await session.start();
  try {
    for (;;) {
      const next = await messages.request('next', {}, nextReplySchema);
      if ('stop' in next) return;
      await guest?.(next.task, retriever);
      await messages.request('fail', { task: next.task.id, code: 'internal', message: 'a guest trains nothing' }, z.object({}));
    }
  } finally {
    await session.close();
  }
}
