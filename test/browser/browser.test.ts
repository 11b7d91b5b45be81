// The clients for pages, in a real browser: in its page and in its worker, against servers on Node.
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { FedStreamError } from '../../src/core/errors.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Connection, Driver, Listener } from '../../src/driver/driver.js';
import { Retriever } from '../../src/exchange/retriever.js';
import { unpack } from '../../src/frame/pack.js';
import { serverProver } from '../../src/frame/proof.js';
import { Session } from '../../src/frame/session.js';
import { tokenVerifier } from '../../src/frame/token.js';
import { http } from '../../src/node/drivers/http.js';
import { ws } from '../../src/node/drivers/ws.js';
import { Offers } from '../../src/transfer/offers.js';
import { writeSpool } from '../../src/transfer/spool.js';
import { openPage, withoutChromium } from './chromium.js';
import { anUpdate, CHECKS, compareSchema, type Found, PAGE_TOKEN, SCHEMES, type Scheme, theGlobal, type Urls } from './plan.js';

const PAGE = '<!doctype html><meta charset="utf-8"><title>FedStream</title><script type="module" src="/page.js"></script>';
const WORKER = PAGE.replace('src="/page.js">', '>new Worker("/page.js", { type: "module" });');
const DRIVERS: Readonly<Record<Scheme, Driver>> = { ws: ws(), http: http() };
const codecs = referenceCodecs;
const closing: (() => Promise<unknown> | undefined)[] = [];
afterAll(async () => {
  for (const close of closing.reverse()) await close();
});

async function bundled(): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: 'error',
    root: fileURLToPath(new URL('.', import.meta.url)),
    build: { write: false, minify: false, lib: { entry: 'page.ts', formats: ['es'], fileName: 'page' } },
  });
  const [output] = [result].flat();
  if (!output || !('output' in output)) throw new Error('vite watches');
  const [chunk, ...more] = output.output;
  if (more.length > 0) throw new Error(`${more.length + 1} files were made of page.ts; one is served`);
  return chunk.code;
}

/**
 * The web server of the pages. Like a reverse proxy, it passes on requests to servers of the http
 * driver.
 */
class Site {
  readonly #server: Server;
  readonly #files = new Map<string, () => string>();
  readonly #behind = new Map<string, string>();
  readonly #waiting = new Map<string, (body: string) => void>();

  constructor() {
    this.#server = createServer((incoming, outgoing) => void this.#answer(incoming, outgoing));
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  serve(path: string, body: () => string): void {
    this.#files.set(path, body);
  }

  /** Passes on requests under the path of the URL; returns the URL for pages. */
  passOn(url: string): string {
    const { pathname } = new URL(url);
    this.#behind.set(pathname, url);
    return `${this.origin}${pathname}`;
  }

  posted(path: string): Promise<string> {
    return new Promise((resolve) => this.#waiting.set(path, resolve));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const path = incoming.url as string;
    const file = this.#files.get(path);
    const behind = [...this.#behind].find(([start]) => path.startsWith(start))?.[1];
    if (file) outgoing.setHeader('content-type', path.endsWith('.js') ? 'text/javascript' : 'text/html').end(file());
    else if (incoming.method === 'POST' && this.#waiting.has(path)) {
      const pieces: Buffer[] = [];
      for await (const piece of incoming) pieces.push(piece);
      outgoing.end();
      this.#waiting.get(path)?.(Buffer.concat(pieces).toString());
    } else if (behind) forward(incoming, outgoing, new URL(path, behind));
    else outgoing.writeHead(404).end();
  }
}

function forward(incoming: IncomingMessage, outgoing: ServerResponse, to: URL): void {
  const onward = request(to, { method: incoming.method as string, headers: incoming.headers }, (answer) => {
    outgoing.writeHead(answer.statusCode as number, answer.headers).flushHeaders();
    answer.pipe(outgoing);
    answer.on('close', () => answer.complete || outgoing.destroy());
  });
  onward.on('error', () => outgoing.destroy());
  outgoing.on('close', () => onward.destroy());
  incoming.pipe(onward);
}

async function serveChecks(scheme: Scheme, site: Site): Promise<Urls> {
  const listen = async (what: string, serve: (connection: Connection) => Promise<void>): Promise<string> => {
    // A page that closes ends them with an error.
    const accept = (connection: Connection): void => void serve(connection).catch(() => {});
    const listener = (await DRIVERS[scheme].listen?.(`${scheme}://127.0.0.1:0/${scheme}-${what}`, accept, {
      origins: [site.origin],
    })) as Listener;
    closing.push(() => listener.close());
    // One is on another origin than the page, whose browser asks first whether it may connect.
    return scheme === 'http' && what !== 'model' ? site.passOn(listener.url) : listener.url;
  };
  let flooded = 0;
  site.serve(`/${scheme}-flooded`, () => String(flooded));
  const flood = async (connection: Connection): Promise<void> => {
    const frame = new Uint8Array(2 ** 20);
    for (flooded = 0; ; flooded += frame.length) await connection.send(frame);
  };
  return {
    echo: await listen('echo', echo),
    model: await listen('model', exchange),
    breaks: await listen('breaks', breakAtFirst),
    nobody: scheme === 'http' ? site.passOn('http://127.0.0.1:1/nobody') : 'ws://127.0.0.1:1/nobody',
    floods: await listen('floods', flood),
    flooded: `${site.origin}/${scheme}-flooded`,
  };
}

async function echo(connection: Connection): Promise<void> {
  for await (const frame of connection) await connection.send(frame);
  await connection.close();
}

async function breakAtFirst(connection: Connection): Promise<void> {
  for await (const _ of connection) break;
  await connection.close(new Error('this one breaks'));
}

const digests = {
  global: (await writeSpool(theGlobal(), codecs, memoryFolder(), 'x')).digest,
  update: (await writeSpool(anUpdate(), codecs, memoryFolder(), 'x')).digest,
};

async function exchange(connection: Connection): Promise<void> {
  const offers = new Offers({ codecs, spools: memoryFolder() });
  offers.model('global', theGlobal(), 'file');
  const session = new Session(connection, { name: 'server' });
  const retriever: Retriever = new Retriever(session, {
    codecs,
    offers,
    handlers: {
      async compare(body) {
        const { digest } = unpack(body, compareSchema, 'a comparison');
        const { figures } = await retriever.model('update', { folder: memoryFolder(), name: 'update' });
        return { global: digest === digests.global, update: figures.digest === digests.update };
      },
    },
  });
  await session.start(async (_name, { prove }) => {
    if (!(await prove?.(serverProver(await tokenVerifier(PAGE_TOKEN))))) throw new FedStreamError('refused', 'the page proves nothing');
  });
}

describe.skipIf(withoutChromium)('ws and http in Chromium', () => {
  const site = new Site();

  beforeAll(async () => {
    await site.listen();
    closing.push(() => site.close());
    const script = await bundled();
    const urls = { ws: await serveChecks('ws', site), http: await serveChecks('http', site) };
    site.serve('/page.js', () => script);
    site.serve('/urls', () => JSON.stringify(urls));
    site.serve('/page', () => PAGE);
    site.serve('/worker', () => WORKER);
  });

  test.each(['page', 'worker'])('in a %s', async (where) => {
    const posted = site.posted(`/found/${where}`);
    const browser = openPage(`${site.origin}/${where}`);
    try {
      const late = new Promise<never>((_, reject) => {
        setTimeout(() => reject(new Error(`the ${where} says nothing. Chromium: ${browser.said()}`)), 100_000).unref();
      });
      const found = JSON.parse(await Promise.race([posted, late])) as Found[];
      expect(found).toEqual(SCHEMES.flatMap((scheme) => CHECKS[scheme].map((check) => ({ scheme, check }))));
    } finally {
      await browser.close();
    }
  });
});
