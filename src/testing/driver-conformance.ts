// The suite that every driver passes: "Under the frame" in docs/spec/frame.md.
import type { Connection, Listener } from '../driver/driver.js';
import { check, equal, pause, type RegisterTest, rejects, sameBytes, seededBytes, standstill } from './checks.js';
import {
  type DriverUnderTest,
  echo,
  expectFrame,
  expectPlain,
  firstFrame,
  readToEnd,
  stopsSender,
  withListener,
  withPair,
} from './driver-pairs.js';

const KIB = 1024;
const MIB = 1024 * KIB;
type DriverTest = (subject: DriverUnderTest) => Promise<void>;

/** Registers every test under `Driver <name>: …`; the exceptions are left out. */
export function testDriver(name: string, subject: DriverUnderTest, test: RegisterTest): void {
  for (const [title, run] of Object.entries(TESTS)) {
    if (subject.exceptions?.[title] === undefined) test(`Driver ${name}: ${title}`, () => run(subject));
  }
}

const TESTS: Readonly<Record<string, DriverTest>> = {
  'names its schemes, its address and its peers': async (subject) => {
    await withPair(subject, async ({ driver, listener, client, server }) => {
      check(driver.schemes.length > 0, 'no schemes');
      check(driver.schemes.includes(listener.url.split(':')[0] as string), `${listener.url} has another scheme`);
      check(client.peer !== '' && server.peer !== '', 'a peer without a name');
    });
  },

  'keeps frames whole and in order, both ways, without sends being awaited': async (subject) => {
    await withPair(subject, async ({ client, server }) => {
      const sizes = Array.from({ length: 400 }, (_, i) => 1 + ((i * 7919) % (i % 50 === 0 ? 300_000 : 3_000)));
      const sendAll = (from: Connection, seed: number) => Promise.all(sizes.map((size, i) => from.send(seededBytes(seed + i, size))));
      const receiveAll = async (at: Connection, seed: number): Promise<void> => {
        const frames = at[Symbol.asyncIterator]();
        await expectPlain(frames, seededBytes(seed, sizes[0] as number));
        for (const [i, size] of [...sizes.entries()].slice(1)) await expectFrame(frames, seededBytes(seed + i, size), `frame ${i}`);
      };
      await Promise.all([sendAll(client, 1), sendAll(server, 5_000), receiveAll(server, 1), receiveAll(client, 5_000)]);
    });
  },

  'joins the parts of a frame, and lets their buffers be used again': async (subject) => {
    await withPair(subject, async ({ client, server }) => {
      const frames = server[Symbol.asyncIterator]();
      const parts = [seededBytes(1, 24), new Uint8Array(0), seededBytes(2, 100_000), seededBytes(3, 1), new Uint8Array(0)];
      const whole = Uint8Array.from(parts.flatMap((part) => [...part]));
      await client.send(...parts);
      for (const part of parts) part.fill(0);
      await expectFrame(frames, whole, 'the frame of five parts');
      await client.send(whole.subarray(7, 8));
      await expectFrame(frames, whole.subarray(7, 8), 'a part of a larger buffer');
    });
  },

  'takes frames from one byte to the limit, and refuses others without ending': async (subject) => {
    const maxFrameBytes = 3 * MIB + 1;
    await withPair(
      subject,
      async ({ client, server }) => {
        const frames = server[Symbol.asyncIterator]();
        for (const size of [1, 2, 3, 4, 5, 255, 65_535, 65_536, 65_537, MIB, maxFrameBytes - 1, maxFrameBytes]) {
          const frame = seededBytes(size, size);
          const [, received] = await Promise.all([client.send(frame), frames.next()]);
          check(!received.done && sameBytes(received.value, frame), `a frame of ${size} bytes was changed`);
        }
        await rejects(client.send(new Uint8Array(maxFrameBytes), new Uint8Array(1)), ['limit'], 'a frame above the limit');
        await rejects(client.send(), ['bad-argument'], 'a frame without parts');
        await rejects(client.send(new Uint8Array(0)), ['bad-argument'], 'an empty frame');
        await client.send(seededBytes(9, 9));
        await expectFrame(frames, seededBytes(9, 9), 'a frame after refused ones');
      },
      { maxFrameBytes },
    );
  },

  'ends a connection on which a frame above its own limit comes': async (subject) => {
    await withPair(
      subject,
      async ({ client, server }) => {
        client.send(new Uint8Array(2 * MIB)).catch(() => {});
        await rejects(readToEnd(server), ['limit'], 'reading a frame above the limit');
        equal(((await server.closed) as { code?: string } | undefined)?.code, 'limit', 'what ended the connection');
        await client.closed;
      },
      { maxFrameBytes: 4 * MIB },
      { maxFrameBytes: MIB },
    );
  },

  'keeps what a server sends at once': async (subject) => {
    const greet = (server: Connection): void => {
      for (let k = 0; k < 5; k++) server.send(seededBytes(k, 10 + k)).catch(() => {});
    };
    await withListener(
      subject,
      async ({ driver, listener }) => {
        for (let i = 0; i < 30; i++) {
          const client = await driver.connect(listener.url);
          if (i % 2 === 0) await pause(2);
          const frames = client[Symbol.asyncIterator]();
          for (let k = 0; k < 5; k++) await expectFrame(frames, seededBytes(k, 10 + k), `frame ${k} of connection ${i}`);
          await client.close();
        }
      },
      {},
      greet,
    );
  },

  'stops a client whose server does not read': async (subject) => {
    await withPair(subject, ({ client, server }) => stopsSender(client, server, subject.mostUnreadBytes));
  },

  'stops a server whose client does not read': async (subject) => {
    await withPair(subject, ({ client, server }) => stopsSender(server, client, subject.mostUnreadBytes));
  },

  'goes on where a receiver that had stopped reads on, again and again': async (subject) => {
    await withPair(subject, async ({ client, server }) => {
      const frames = server[Symbol.asyncIterator]();
      const sending = (async () => {
        for (let i = 0; i < 120; i++) await client.send(seededBytes(i, 400_000));
      })();
      for (let i = 0; i < 120; i++) {
        if (i % 30 === 0) await pause(30);
        await expectFrame(frames, seededBytes(i, 400_000), `frame ${i}`);
      }
      await sending;
    });
  },

  'carries frames of every size at once, both ways, over several connections': async (subject) => {
    await withListener(subject, async ({ driver, listener, accepted }) => {
      const pairs = [];
      for (let i = 0; i < 4; i++) {
        const client = await driver.connect(listener.url);
        pairs.push([client, await (accepted(1)[0] as Promise<Connection>)] as const);
      }
      const sizes = [1, 1_000_000, 7, 65_536, 300_000, 2, 2_000_000, 31];
      const send = (from: Connection, seed: number) => Promise.all(sizes.map((size, i) => from.send(seededBytes(seed + i, size))));
      const take = async (at: Connection, seed: number): Promise<void> => {
        const frames = at[Symbol.asyncIterator]();
        for (const [i, size] of sizes.entries()) await expectFrame(frames, seededBytes(seed + i, size), `frame ${i}`);
      };
      await Promise.all(pairs.flatMap(([a, b], i) => [send(a, 100 * i), take(b, 100 * i), send(b, 100 * i + 50), take(a, 100 * i + 50)]));
      await Promise.all(pairs.map(([a]) => a.close()));
    });
  },

  'delivers what was sent before an orderly close, then ends on both sides': async (subject) => {
    await withPair(subject, async ({ client, server }) => {
      const sent = Array.from({ length: 20 }, (_, i) => seededBytes(i, 200_000 + i));
      const sending = Promise.all(sent.map((frame) => client.send(frame)));
      const closing = client.close();
      const received = await readToEnd(server);
      equal(received.length, sent.length, 'frames before the end');
      for (const [i, frame] of received.entries()) check(sameBytes(frame, sent[i] as Uint8Array), `frame ${i} was changed`);
      await Promise.all([sending, closing, client.close()]);
      equal(await client.closed, undefined, 'the error of an orderly close');
      equal(await server.closed, undefined, 'the error of an orderly close on the other side');
      await rejects(client.send(new Uint8Array(1)), ['closed'], 'a send after close');
      await rejects(server.send(new Uint8Array(1)), ['closed'], 'a send after the other side closed');
      await server.close();
    });
  },

  'delivers what was sent before a close even while the other side sends without end': async (subject) => {
    await withPair(subject, async ({ client, server }) => {
      const flood = (async () => {
        for (;;) await server.send(new Uint8Array(256 * KIB));
      })();
      flood.catch(() => {}); // it may fail before it is looked at
      await Promise.all([client.send(seededBytes(1, 300_000)), client.send(seededBytes(2, 300_000))]);
      const closing = client.close();
      const frames = server[Symbol.asyncIterator]();
      await expectFrame(frames, seededBytes(1, 300_000), 'the first frame');
      await expectFrame(frames, seededBytes(2, 300_000), 'the last frame');
      await rejects(flood, ['closed'], 'the flood');
      await closing;
      await server.closed;
    });
  },

  'tells the other side of an abrupt close, whoever closes': async (subject) => {
    for (const side of ['client', 'server'] as const) {
      await withPair(subject, async (pair) => {
        const near = pair[side];
        const far = side === 'client' ? pair.server : pair.client;
        const reading = readToEnd(far).catch((error: { code?: string }) => equal(error.code, 'closed', 'what the reader sees'));
        const reason = new Error('pulled the plug');
        await near.close(reason);
        equal(await near.closed, reason, 'what ended the connection');
        await reading;
        await far.closed;
        await rejects(far.send(new Uint8Array(1)), ['closed'], 'a send after an abrupt close');
      });
    }
  },

  'wakes a blocked sender when the connection ends': async (subject) => {
    for (const side of ['client', 'server'] as const) {
      await withPair(subject, async (pair) => {
        let sent = 0;
        const sending = (async () => {
          for (;;) {
            await pair.client.send(new Uint8Array(MIB));
            sent++;
          }
        })();
        const failed = rejects(sending, ['closed'], 'the blocked send');
        await standstill(() => sent);
        await pair[side].close(new Error('enough'));
        await failed;
      });
    }
  },

  'keeps connections apart': async (subject) => {
    await withListener(subject, async ({ driver, listener, accepted }) => {
      const clients = await Promise.all(Array.from({ length: 40 }, () => driver.connect(listener.url)));
      const echoes = accepted(clients.length).map(async (connection) => echo(await connection));
      await Promise.all(
        clients.map(async (client, i) => {
          const frames = client[Symbol.asyncIterator]();
          for (let k = 0; k < 5; k++) {
            const frame = seededBytes(i * 31 + k, 1_000 + i);
            const [, received] = await Promise.all([client.send(frame), frames.next()]);
            check(!received.done && sameBytes(received.value, frame), `connection ${i} got the bytes of another one`);
          }
          await client.close();
        }),
      );
      await Promise.all(echoes);
    });
  },

  'takes thousands of connections one after another': async (subject) => {
    await withListener(subject, async ({ driver, listener, accepted }) => {
      for (let i = 0; i < (subject.connects ?? 2_000); i++) {
        const client = await driver.connect(listener.url);
        const server = await (accepted(1)[0] as Promise<Connection>);
        const echoing = i % 2 === 0 ? echo(server) : server.close(new Error('go away'));
        if (i % 2 === 0) {
          const frames = client[Symbol.asyncIterator]();
          await client.send(seededBytes(i, 10));
          await expectFrame(frames, seededBytes(i, 10), `echo ${i}`);
        }
        await client.close(i % 3 === 0 ? new Error('rude') : undefined);
        await echoing;
      }
    });
  },

  'gives up a peer that neither reads nor ends after a close': async (subject) => {
    for (const side of ['client', 'server'] as const) {
      await withPair(subject, async (pair) => {
        const sends = Array.from({ length: 60 }, () => pair[side].send(new Uint8Array(MIB)));
        const ends = Promise.allSettled(sends);
        await standstill(() => 0);
        await pair[side].close();
        await ends;
        await rejects(pair[side].send(new Uint8Array(1)), ['closed'], 'a send after the close');
      });
    }
  },

  'is not harmed by bytes that are none of its own': async (subject) => {
    const { raw } = subject;
    if (!raw) return;
    await withListener(subject, async ({ driver, listener, accepted, refused }) => {
      const hostile = [
        new TextEncoder().encode('GET / HTTP/1.1\r\nhost: x\r\n\r\n'),
        new TextEncoder().encode('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        new Uint8Array(64),
        new Uint8Array(64).fill(255),
        Uint8Array.of(22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3),
        seededBytes(1, 5_000),
      ];
      for (const bytes of hostile) await raw(listener.url, bytes);
      check(
        refused.every((peer) => peer !== ''),
        'a refused peer without a name',
      );
      const client = await driver.connect(listener.url);
      await client.send(seededBytes(8, 8));
      // Connections of the others may have been accepted first, and end by themselves.
      const got = await Promise.any(Array.from({ length: hostile.length + 1 }, () => firstFrame(accepted(1)[0] as Promise<Connection>)));
      check(sameBytes(got, seededBytes(8, 8)), 'a frame after hostile peers was changed');
      await client.close();
    });
  },

  'refuses nobody who behaves': async (subject) => {
    await withListener(subject, async ({ driver, listener, accepted, refused }) => {
      for (const error of [undefined, new Error('rude')]) {
        const client = await driver.connect(listener.url);
        const server = await (accepted(1)[0] as Promise<Connection>);
        await client.send(seededBytes(1, 10));
        await expectFrame(server[Symbol.asyncIterator](), seededBytes(1, 10), 'a frame');
        await client.close(error);
        await Promise.all([client.closed, server.close(), server.closed]);
      }
      await pause(50); // what is under a connection may end behind it
      equal(refused.length, 0, 'peers that were refused');
    });
  },

  'says that nobody listens': async (subject) => {
    const error = await rejects(subject.make().connect(subject.deadUrl), ['closed'], 'connecting to nobody');
    check(error.message.includes(subject.deadUrl), `the message does not name ${subject.deadUrl}: ${error.message}`);
  },

  'says that an address is in use': async (subject) => {
    await withListener(subject, async ({ driver, listener }) => {
      const listening = driver.listen?.(listener.url, () => {}) as Promise<Listener>;
      const error = await rejects(listening, ['io'], 'listening twice');
      check(error.message.includes('in use'), `the message does not say so: ${error.message}`);
    });
  },

  'refuses what is no address by rejecting': async (subject) => {
    const driver = subject.make();
    for (const url of ['', 'x', 'nothing://at-all', '://', `${driver.schemes[0]}:`]) {
      await rejects(driver.connect(url), ['bad-argument'], `connecting to ${JSON.stringify(url)}`);
      if (driver.listen)
        await rejects(
          driver.listen(url, () => {}),
          ['bad-argument'],
          `listening on ${JSON.stringify(url)}`,
        );
    }
  },

  'stops connecting when told to': async (subject) => {
    await withListener(subject, async ({ driver, listener }) => {
      await rejects(driver.connect(listener.url, { signal: AbortSignal.abort() }), ['aborted'], 'connecting with an aborted signal');
    });
  },

  'lets a connection live that outlasts the limit for connecting': async (subject) => {
    const connectTimeoutMs = 300;
    await withListener(
      subject,
      async ({ driver, listener, accepted }) => {
        const client = await driver.connect(listener.url, { connectTimeoutMs });
        const server = await (accepted(1)[0] as Promise<Connection>);
        await pause(4 * connectTimeoutMs);
        await Promise.all([client.send(seededBytes(5, 5)), server.send(seededBytes(6, 6))]);
        await expectFrame(server[Symbol.asyncIterator](), seededBytes(5, 5), 'a frame after the limit');
        await expectFrame(client[Symbol.asyncIterator](), seededBytes(6, 6), 'a frame of the server after the limit');
        await client.close();
      },
      { connectTimeoutMs },
    );
  },

  'stops listening, and lets accepted connections live': async (subject) => {
    await withListener(subject, async ({ driver, listener, accepted }) => {
      const client = await driver.connect(listener.url);
      const server = await (accepted(1)[0] as Promise<Connection>);
      await listener.close();
      await listener.close();
      await rejects(driver.connect(listener.url), ['closed'], 'connecting after the listener closed');
      await client.send(seededBytes(4, 4));
      await expectFrame(server[Symbol.asyncIterator](), seededBytes(4, 4), 'a frame after the listener closed');
      await Promise.all([client.close(), server.close()]);
    });
  },
};
