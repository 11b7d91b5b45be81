// A hub hands each session to the run that its hello names; errors of a session or run stay within
// it.
import { expect, test, vi } from 'vitest';
import { BUDGETS } from '../../src/core/budgets.js';
import { FedStreamError } from '../../src/core/errors.js';
import { decodeFrame, encodeFrame, type FrameType } from '../../src/frame/frame.js';
import { Session } from '../../src/frame/session.js';
import { answering, hubWith, URL } from './answering.js';

test('a hello without a run goes to the only one there is', async () => {
  const { hub, join } = await hubWith(answering('alpha'));
  expect(await (await join('site-1')).ask()).toBe('a');
  expect(await (await join('site-2', { run: 'alpha' })).ask()).toBe('a');
  await hub.close();
});

test('with several runs each gets its own sites, of the same names too', async () => {
  const [alpha, beta] = [answering('alpha'), answering('beta')];
  const { hub, join } = await hubWith(alpha, beta);
  const inAlpha = await join('site-1', { run: 'alpha' });
  const inBeta = await join('site-1', { run: 'beta' });
  expect([await inAlpha.ask(), await inBeta.ask()]).toEqual(['a', 'b']);
  await join('site-2', { run: 'beta' });
  expect([alpha.seen, beta.seen]).toEqual([['+site-1'], ['+site-1', '+site-2']]);
  await hub.close();
});

test('with several runs one must be named, and no name of a run or a site is told', async () => {
  const { hub, refusal, warnings } = await hubWith(answering('alpha'), answering('beta', { sites: ['secret-site'] }));
  const unnamed = await refusal('site-1');
  const unknown = await refusal('site-1', { run: 'gamma' });
  const elsewhere = await refusal('site-1', { run: 'beta' });
  for (const { code, message } of [unnamed, unknown, elsewhere]) {
    expect(code).toBe('refused');
    expect(message).toBe(unnamed.message);
    expect(message).not.toMatch(/alpha|beta|gamma|secret-site|several/);
  }
  expect(warnings).toEqual([
    expect.stringMatching(/there are several runs here: the site must say which one is meant \(--run NAME\)/),
    expect.stringMatching(/there is no run gamma here/),
    expect.stringMatching(/site-1 is not a site of the run beta/),
  ]);
  await hub.close();
});

test('a hub without a run says so in a way that is tried again', async () => {
  const { hub, refusal } = await hubWith();
  for (const run of [undefined, 'alpha'])
    expect(await refusal('site-1', { run })).toMatchObject({ code: 'closed', message: expect.stringContaining('no run here now') });
  await hub.close();
});

test('a run that fails on one session ends that session alone', async () => {
  const fails = answering('beta', {
    async serve(session) {
      if (session.peerName === 'site-1') throw new FedStreamError('io', 'the disk is gone');
      session.handle('request', () => void session.control('reply', 98).catch(() => {}));
      await session.closed;
    },
  });
  const { hub, join } = await hubWith(answering('alpha'), fails);
  const inAlpha = await join('site-1', { run: 'alpha' });
  const good = await join('site-2', { run: 'beta' });
  const bad = await join('site-1', { run: 'beta' });
  // A site learns nothing of the server's machine.
  const ended = await bad.session.closed;
  expect(ended).toMatchObject({ code: 'io', message: expect.stringContaining('its own log has the details') });
  expect(ended.message).not.toContain('disk is gone');
  expect([await inAlpha.ask(), await good.ask()]).toEqual(['a', 'b']);
  await hub.close();
});

test('a peer that breaks the protocol in one run ends its own session alone', async () => {
  const { hub, join } = await hubWith(answering('alpha'), answering('beta'));
  const [bad, neighbour, other] = [
    await join('site-1', { run: 'alpha' }),
    await join('site-2', { run: 'alpha' }),
    await join('site-1', { run: 'beta' }),
  ];
  await bad.session.control('open', 7);
  await expect(bad.session.closed).resolves.toMatchObject({ code: 'bad-frame' });
  expect([await neighbour.ask(), await other.ask()]).toEqual(['a', 'b']);
  await hub.close();
});

test('a run that ends tells its sites, and leaves listeners and other runs alone', async () => {
  const alpha = answering('alpha');
  const { hub, added, join, refusal } = await hubWith(alpha, answering('beta'));
  const inAlpha = await join('site-1', { run: 'alpha' });
  const inBeta = await join('site-1', { run: 'beta' });
  await added[0]?.remove(new FedStreamError('quorum', 'too few'));
  await expect(inAlpha.session.closed).resolves.toMatchObject({ code: 'quorum', message: expect.stringContaining('too few') });
  expect(alpha.seen).toEqual(['+site-1', '-site-1']);
  expect(await refusal('site-1', { run: 'alpha' })).toMatchObject({ code: 'refused' });
  expect(await inBeta.ask()).toBe('b');
  // The last run needs no name in the hello, and the name of the removed one is free again.
  expect(await (await join('site-2')).ask()).toBe('b');
  hub.add(answering('alpha'));
  expect(await (await join('site-1', { run: 'alpha' })).ask()).toBe('a');
  await hub.close();
});

test('removing a run again does not remove the next one of its name', async () => {
  const { hub, added, join } = await hubWith(answering('alpha'));
  await added[0]?.remove();
  hub.add(answering('alpha'));
  await added[0]?.remove();
  expect(await (await join('site-1')).ask()).toBe('a');
  await hub.close();
});

test('two runs of one name are one too many', async () => {
  const { hub } = await hubWith(answering('alpha'));
  expect(() => hub.add(answering('alpha'))).toThrowError(
    expect.objectContaining({ code: 'bad-argument', message: expect.stringContaining('alpha') }),
  );
  await hub.close();
});

test('sites that leave by themselves are waited for, a while', async () => {
  const { hub, added, join } = await hubWith(answering('alpha'));
  const { session } = await join('site-1');
  let gone = false;
  const waiting = added[0]?.farewell().then(() => {
    gone = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(gone).toBe(false);
  await session.close();
  await waiting;
  await hub.close();
});

test('a hub that closes ends listeners, sessions and who has not said who it is; twice is once', async () => {
  const { hub, driver, join } = await hubWith(answering('alpha'), answering('beta'));
  const second = await hub.listen(driver, 'memory://second');
  const sites = [await join('site-1', { run: 'alpha' }), await join('site-1', { run: 'beta' })];
  const pending = await driver.connect(URL);
  await hub.close(new FedStreamError('aborted', 'stopped by hand'));
  for (const { session } of sites)
    await expect(session.closed).resolves.toMatchObject({ code: 'aborted', message: expect.stringContaining('stopped by hand') });
  await pending.closed;
  expect(hub.signal.aborted).toBe(true);
  for (const url of [URL, second.url]) await expect(driver.connect(url)).rejects.toMatchObject({ code: 'closed' });
  await hub.close();
  await expect(hub.listen(driver, URL)).rejects.toMatchObject({ code: 'aborted' });
  expect(() => hub.add(answering('gamma'))).toThrow('stopped by hand');
});

test('a listener that closes leaves the connections that came over it', async () => {
  const { hub, driver, join } = await hubWith(answering('alpha'));
  const second = await hub.listen(driver, 'memory://second');
  const session = new Session(await driver.connect(second.url), { name: 'site-2' });
  await session.start();
  await second.close();
  await expect(driver.connect(second.url)).rejects.toMatchObject({ code: 'closed' });
  expect(session.ended).toBe(false);
  expect(await (await join('site-1')).ask()).toBe('a');
  await hub.close();
});

test('a driver that cannot listen is told apart, and an address in use', async () => {
  const { hub, driver } = await hubWith();
  await expect(hub.listen({ schemes: ['page'], connect: driver.connect }, 'page://x')).rejects.toMatchObject({ code: 'unsupported' });
  await expect(hub.listen(driver, URL)).rejects.toMatchObject({ code: 'io' });
  await hub.close();
});

test('of too many that do not say who they are the oldest is closed, and no site', async () => {
  const { hub, driver, join } = await hubWith(answering('alpha', { idleMs: 60_000 }));
  const site = await join('site-1');
  const ended: number[] = [];
  for (let i = 0; i < BUDGETS.pendingOfAddress.limit + 1; i++) {
    const connection = await driver.connect(URL);
    void connection.closed.then(() => ended.push(i));
  }
  await vi.waitFor(() => expect(ended).toEqual([0]));
  expect(await site.ask()).toBe('a');
  await hub.close();
});

test('before the run is known the shortest limit of all holds, then that of the run', async () => {
  vi.useFakeTimers();
  try {
    const { hub, driver } = await hubWith(answering('alpha', { idleMs: 500 }), answering('beta', { idleMs: 5000 }));
    const silent = async (run: string) => {
      const raw = await driver.connect(URL);
      let ended = false;
      void raw.closed.then(() => {
        ended = true;
      });
      await raw.send(...encodeFrame('hello', 0, msgpackHello(run)));
      return () => ended;
    };
    const [inAlpha, inBeta] = [await silent('alpha'), await silent('beta')];
    await vi.advanceTimersByTimeAsync(1200);
    expect([inAlpha(), inBeta()]).toEqual([true, false]);
    await vi.advanceTimersByTimeAsync(6000);
    expect(inBeta()).toBe(true);
    await hub.close();
  } finally {
    vi.useRealTimers();
  }
});

/** `{version: 1, name: 'site-1', idleMs: 60000, run}`. */
function msgpackHello(run: string): Uint8Array {
  const text = (value: string): number[] => [0xa0 | value.length, ...Buffer.from(value)];
  return Uint8Array.from([
    0x84,
    ...text('version'),
    1,
    ...text('name'),
    ...text('site-1'),
    ...text('idleMs'),
    0xcd,
    0xea,
    0x60,
    ...text('run'),
    ...text(run),
  ]);
}

test('a site of the state before, which knows no runs, joins the only one', async () => {
  const { hub, driver } = await hubWith(answering('alpha'));
  const raw = await driver.connect(URL);
  const frames = raw[Symbol.asyncIterator]();
  const next = async (type: FrameType) => {
    for (;;) {
      const { value, done } = await frames.next();
      if (done) throw new Error(`no ${type} came`);
      const frame = decodeFrame(value);
      if (frame.type === type) return frame;
    }
  };
  // {version: 1, name: 'site-1', idleMs: 30000}
  const hello = Buffer.from('83a776657273696f6e01a46e616d65a6736974652d31a669646c654d73cd7530', 'hex');
  await raw.send(...encodeFrame('hello', 0, hello));
  await next('hello');
  await raw.send(...encodeFrame('request', 1));
  expect((await next('reply')).stream).toBe('a'.charCodeAt(0));
  await hub.close();
});
