// The error of a client whose proxy lets connections through, but no bodies.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { fetchClient } from '../../driver/fetch-client.js';
import { HTTP_HEADER, HTTP_VERSION, targetOf } from '../../driver/http-protocol.js';
import { http } from './http.js';

test.each([
  ['the client', http],
  ['a page', fetchClient],
])('%s says that a proxy takes no such bodies, and where to read on', async (_, make) => {
  const server = createServer((request, response) => {
    response.setHeader(HTTP_HEADER, HTTP_VERSION);
    const kind = targetOf(request.method ?? '', request.url ?? '')?.kind;
    if (kind === 'open') response.writeHead(201).end('0'.repeat(32));
    else if (kind === 'down') response.writeHead(200).flushHeaders();
    else request.resume().on('end', () => response.writeHead(413).end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const connection = await make().connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  connection.send(new Uint8Array(1000)).catch(() => {});
  expect((await connection.closed)?.message).toMatch(/it answered 413: a proxy .*docs\/proxies\.md/);
  server.close();
  server.closeAllConnections();
});
