// Bodies arrive unchanged however they are split, with chunks cut out and with all left to Node.
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HttpBody, readBodies } from './http-body.js';

interface Heard {
  readonly bodies: string[];
  cut: number;
}
const heard: Heard = { bodies: [], cut: 0 };
const ours = serverOf((request) => new HttpBody(request));
const nodes = serverOf(() => undefined);

beforeAll(() => Promise.all([ours, nodes].map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)))));
afterAll(() => {
  for (const server of [ours, nodes]) server.close();
});

/** Answers 204 to each request, keeps its body, and stops reading now and then. */
function serverOf(bodyOf: (request: IncomingMessage) => HttpBody | undefined): Server {
  const server = createServer({ keepAliveTimeout: 60_000 });
  server.on('connection', (socket) => {
    socket.once('data', () => {});
    if (server === ours) readBodies(socket);
  });
  server.on('request', (request, response) => {
    let text = '';
    const body = bodyOf(request);
    request.on('error', () => {});
    request.on('end', () => {
      heard.bodies[Number(request.url?.split('/')[2])] = text;
      response.writeHead(204).end();
    });
    if (!body) {
      request.on('data', (bytes) => {
        text += bytes.toString('latin1');
      });
      return;
    }
    const room = new Uint8Array(7_000);
    const filled = (bytes: number): void => {
      text += Buffer.from(room.subarray(0, bytes)).toString('latin1');
      const isDirect = body.isUntouched;
      if (isDirect) heard.cut += bytes;
      if (text.length % 3 > 0) return;
      body.flow(false);
      setImmediate(() => body.flow(true));
    };
    // Some are read later, like those that come before their turn.
    const begin = (): void => body.read({ room: () => room, filled }, true);
    if (request.url?.startsWith('/late/')) setTimeout(begin, 5);
    else begin();
  });
  server.on('clientError', (_, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
  });
  return server;
}

/**
 * Sends the bytes in such pieces; resolves with the answers and the bodies that the server read.
 */
function tell(server: Server, bytes: Buffer, cuts: readonly number[], answers: number): Promise<{ statuses: string[]; bodies: string[] }> {
  heard.bodies.length = 0;
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  let text = '';
  return new Promise((resolve) => {
    const done = (): void => {
      socket.destroy();
      resolve({ statuses: text.match(/(?<=HTTP\/1.1 )\d+/g) ?? [], bodies: [...heard.bodies] });
    };
    socket.on('error', () => {});
    socket.on('close', done);
    socket.on('data', (some) => {
      text += some.toString('latin1');
      if ((text.match(/HTTP\/1.1/g) ?? []).length >= answers) done();
    });
    let at = 0;
    const next = (i: number): void => {
      if (at >= bytes.length || socket.destroyed) return;
      const piece = bytes.subarray(at, at + (cuts[i % cuts.length] as number));
      at += piece.length;
      socket.write(piece);
      // Some pieces go out in a packet of their own.
      if (i % 5 === 0 && i < 40) setTimeout(next, 1, i + 1);
      else next(i + 1);
    };
    socket.setNoDelay(true);
    next(0);
  });
}

const SIZES = {
  plain: (bytes: number) => bytes.toString(16),
  capital: (bytes: number) => bytes.toString(16).toUpperCase(),
  zeros: (bytes: number) => bytes.toString(16).padStart(8, '0'),
  long: (bytes: number) => bytes.toString(16).padStart(12, '0'),
  extended: (bytes: number) => `${bytes.toString(16)};name=value`,
};
type Size = keyof typeof SIZES;

/** Content that looks like ends of heads and of chunks. */
function content(bytes: number): string {
  return '\r\n\r\n5\r\n0\r\n\r\nPOST /x HTTP/1.1\r\n'.repeat(Math.ceil(bytes / 30)).slice(0, bytes);
}

interface Told {
  readonly path: '/now' | '/late';
  readonly chunks: { readonly size: Size; readonly bytes: number }[];
  readonly end: 'plain' | 'trailer' | 'length';
}

function requestOf({ path, chunks, end }: Told, number: number): string {
  const head = `POST ${path}/${number} HTTP/1.1\r\nhost: x\r\n`;
  const whole = chunks.map(({ bytes }) => content(bytes)).join('');
  if (end === 'length') return `${head}content-length: ${whole.length}\r\n\r\n${whole}`;
  const parts = chunks.map(({ size, bytes }) => `${SIZES[size](bytes)}\r\n${content(bytes)}\r\n`);
  return `${head}transfer-encoding: chunked\r\n\r\n${parts.join('')}0\r\n${end === 'trailer' ? 'after: all\r\n' : ''}\r\n`;
}

const size = fc.oneof({ weight: 5, arbitrary: fc.constant<Size>('plain') }, fc.constantFrom(...(Object.keys(SIZES) as Size[])));
const chunk = fc.record({ size, bytes: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 200_000 })) });
const told = fc.record({
  path: fc.constantFrom<Told['path']>('/now', '/now', '/late'),
  chunks: fc.array(chunk, { maxLength: 5 }),
  end: fc.constantFrom<Told['end']>('plain', 'plain', 'trailer', 'length'),
});
const cut = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 100_000 }));

test('requests one after the other, in every form, cut anywhere', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(told, { minLength: 1, maxLength: 4 }),
      fc.array(cut, { minLength: 4, maxLength: 30 }),
      async (requests, cuts) => {
        const bytes = Buffer.from(requests.map(requestOf).join(''), 'latin1');
        const found = await tell(ours, bytes, [...cuts, 50_000], requests.length);
        expect(found.bodies).toEqual(requests.map(({ chunks }) => chunks.map(({ bytes: length }) => content(length)).join('')));
        expect(found.statuses).toEqual(requests.map(() => '204'));
      },
    ),
    { seed: 5, numRuns: 60 },
  );
  expect(heard.cut).toBeGreaterThan(1_000_000);
});

const HEAD = 'POST /now/0 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n';
test.each([
  ['no length', `${HEAD}\r\n\r\n`],
  ['no digit', `${HEAD}xyz\r\nabc\r\n0\r\n\r\n`],
  ['a length above every limit', `${HEAD}fffffffffffffffff\r\nabc`],
  ['a sign', `${HEAD}-5\r\nabcde\r\n0\r\n\r\n`],
  ['a line that ends otherwise', `${HEAD}5\nabcde\r\n0\r\n\r\n`],
  ['CR without LF behind a length', `${HEAD}5\rXabcde\r\n0\r\n\r\n`],
  ['something else behind a chunk', `${HEAD}5\r\nabcde!!0\r\n\r\n`],
  ['a head whose lines end otherwise', `${HEAD.replaceAll('\r\n', '\n')}5\r\nabcde\r\n0\r\n\r\n`],
])('%s: Node decides', async (_, text) => {
  const bytes = Buffer.from(text, 'latin1');
  const all = await tell(nodes, bytes, [10_000], 1);
  for (const cuts of [[10_000], [1], [HEAD.length, 10_000]]) expect(await tell(ours, bytes, cuts, 1)).toEqual(all);
});
