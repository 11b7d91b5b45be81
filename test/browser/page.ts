// The checks of a page or a worker with FedStream, over each of its clients. browser.test.ts
// bundles it for Chromium; it posts its findings.

import { memoryFolder, Offers, Retriever, referenceCodecs, Session, siteCredentials } from '../../src/api/index.js';
import { type Connection, chooseDriver, fetchClient, webSocketClient } from '../../src/driver/web.js';
import {
  anUpdate,
  CHECKS,
  type Check,
  comparisonSchema,
  type Found,
  framesOfAllSizes,
  PAGE_TOKEN,
  SCHEMES,
  type Scheme,
  type Urls,
} from './plan.js';

const driver = chooseDriver([webSocketClient(), fetchClient()]);

const checks: Record<Check, (urls: Urls) => Promise<void>> = {
  async 'frames of every size come back, whole and in order'({ echo }) {
    const connection = await driver.connect(echo);
    const sent = framesOfAllSizes();
    const sending = Promise.all(sent.map((frame) => connection.send(frame)));
    let came = 0;
    for await (const frame of connection) {
      const expected = sent[came] as Uint8Array;
      same(frame.length, expected.length, `the length of frame ${came}`);
      for (let i = 0; i < frame.length; i++) if (frame[i] !== expected[i]) throw new Error(`byte ${i} of frame ${came} is another`);
      connection.release?.(frame);
      if (++came === sent.length) break;
    }
    await sending;
    await connection.close();
    same(await connection.closed, undefined, 'the end');
  },

  async 'with a token that is proven, a coded model comes, and one goes, verified'({ model }) {
    const offers = new Offers({ codecs: referenceCodecs, spools: memoryFolder() });
    offers.model('update', anUpdate(), 'container');
    const session = new Session(await driver.connect(model), { name: 'page', credentials: siteCredentials(PAGE_TOKEN) });
    const retriever = new Retriever(session, { codecs: referenceCodecs, offers });
    await session.start();
    const received = await retriever.model('global', { folder: memoryFolder(), name: 'global' });
    same(received.model.manifest.tensors[0]?.encoding?.codec, 'nf4', 'the codec');
    // The other side asks for the update meanwhile, and answers with the digests of both.
    const reply = await retriever.messages.request('compare', { digest: received.figures.digest }, comparisonSchema);
    same(reply, { global: true, update: true }, 'the other side’s comparison');
    await session.close();
  },

  async 'a connection that breaks says so'({ breaks }) {
    const connection = await driver.connect(breaks);
    connection.send(Uint8Array.of(1)).catch(() => {}); // it may break before this is answered
    const failure = await failureOf(async () => {
      for await (const _ of connection);
    });
    same(failure, 'closed', 'the failure');
    same((await connection.closed) instanceof Error, true, 'whether it is an error');
  },

  async 'where nobody is, nobody is waited for'({ nobody }) {
    same(await failureOf(() => driver.connect(nobody)), 'closed', 'the failure');
  },

  async 'who does not read stops the other side'({ floods, flooded }) {
    const connection = await driver.connect(floods);
    const sentBytes = async (): Promise<number> => Number(await (await fetch(flooded)).text());
    let [before, now] = [-1, await sentBytes()];
    for (; now !== before; now = await sentBytes()) {
      before = now;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    if (now > 64 * 2 ** 20) throw new Error(`${now} bytes were sent to a page that does not read`);
    await readSome(connection);
    await connection.close(new Error('enough'));
  },
};

async function readSome(connection: Connection): Promise<void> {
  let bytes = 0;
  for await (const frame of connection) {
    bytes += frame.length;
    connection.release?.(frame);
    if (bytes > 100 * 2 ** 20) return;
  }
}

/** Throws unless both are equal as JSON. */
function same(found: unknown, expected: unknown, what: string): void {
  if (JSON.stringify(found) !== JSON.stringify(expected))
    throw new Error(`${what} is ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`);
}

/** The code of the error that the promise rejects with. */
async function failureOf(act: () => Promise<unknown>): Promise<string> {
  try {
    await act();
    return 'none';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

/** An error with its causes. */
function said(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.stack ?? String(error);
  return error.cause === undefined ? own : `${own}\nbecause: ${said(error.cause)}`;
}

async function run(): Promise<void> {
  const urls = (await (await fetch('/urls')).json()) as Record<Scheme, Urls>;
  const found: Found[] = [];
  for (const scheme of SCHEMES) {
    for (const check of CHECKS[scheme]) {
      const error = await checks[check](urls[scheme]).then(
        () => undefined,
        (failure: Error) => said(failure),
      );
      found.push({ scheme, check, error });
    }
  }
  // A page has a document, a worker none.
  const where = 'document' in globalThis ? 'page' : 'worker';
  await fetch(`/found/${where}`, { method: 'POST', body: JSON.stringify(found) });
}

void run();
