// One side of a transfer with the bare library, as the baseline of bench/drivers.mjs. It verifies
// nothing.
import { createServer as createHttpServer, request as httpRequest } from 'node:http';
import { createServer as createHttpsServer, request as httpsRequest } from 'node:https';
import { connect as connectTcp, createServer as createTcpServer } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import grpc from '@grpc/grpc-js';
import { WebSocket, WebSocketServer } from 'ws';

const MIB = 2 ** 20;
const LEAVES = 64;
const WINDOW_BYTES = 48 * MIB;

let mib = 0;
let warmMib = 0;
/** Sends all chunks with two in flight; `write` calls back once a chunk is flushed. */
async function sendAll(write) {
  const leaves = Array.from({ length: LEAVES }, (_, i) => Buffer.alloc(MIB, i + 1));
  let before = Promise.resolve();
  for (let i = 0; i < warmMib + mib; i++) {
    const flushed = new Promise((resolve) => write(leaves[i % LEAVES], resolve));
    await before;
    before = flushed;
  }
  await before;
  process.send({ type: 'done' });
}

/** Counts bytes from the first after the warm-up to the last. */
function counter() {
  let bytes = -warmMib * MIB;
  let startedMs = 0;
  return (length) => {
    if (bytes >= 0) startedMs ||= performance.now();
    bytes += length;
    if (bytes >= mib * MIB) process.send({ type: 'done', seconds: (performance.now() - startedMs) / 1000 });
  };
}

const socketSide = (sends, socket) => (sends ? sendAll((chunk, flushed) => socket.write(chunk, flushed)) : socket.on('data', eachData()));
function eachData() {
  const count = counter();
  return (bytes) => count(bytes.length);
}

/**
 * Reads all chunks into one buffer, as only a connecting socket can. A chunk is whole before the
 * next one overwrites it, since bytes that nobody could use would be no transfer.
 */
function directRead() {
  const count = counter();
  const chunk = Buffer.alloc(MIB);
  let filled = 0;
  return {
    buffer: () => chunk.subarray(filled),
    callback: (length) => {
      filled = (filled + length) % MIB;
      count(length);
      return true;
    },
  };
}

const portOf = (server) => server.address().port;
const listen = (server, scheme) =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(`${scheme}://127.0.0.1:${portOf(server)}`)));
const tlsOf = ({ cert, key, ca }) => ({ cert, key, ca });

const servers = {
  tcp: (sends) =>
    listen(
      createTcpServer({ noDelay: true }, (socket) => socketSide(sends, socket)),
      'tcp',
    ),
  tcps: (sends, material) =>
    listen(
      createTlsServer({ ...tlsOf(material), noDelay: true }, (socket) => socketSide(sends, socket)),
      'tcps',
    ),
  uds: (sends, _, url) =>
    new Promise((resolve) => createTcpServer((socket) => socketSide(sends, socket)).listen(url.slice('uds://'.length), () => resolve(url))),
  ws: (sends) => webSocketServer(sends, createHttpServer(), 'ws'),
  wss: (sends, material) => webSocketServer(sends, createHttpsServer(tlsOf(material)), 'wss'),
  http: (sends) => listen(createHttpServer({ noDelay: true }, httpSide(sends)), 'http'),
  https: (sends, material) => listen(createHttpsServer({ ...tlsOf(material), noDelay: true }, httpSide(sends)), 'https'),
  grpc: (sends) => grpcServer(sends, grpc.ServerCredentials.createInsecure(), 'grpc'),
  grpcs: (sends, { cert, key }) =>
    grpcServer(sends, grpc.ServerCredentials.createSsl(null, [{ cert_chain: Buffer.from(cert), private_key: Buffer.from(key) }]), 'grpcs'),
};

const clients = {
  tcp: (sends, url) =>
    socketClient(sends, (onread) => connectTcp({ host: '127.0.0.1', port: new URL(url).port, noDelay: true, onread }), 'connect'),
  tcps: (sends, url, { ca }) =>
    socketClient(
      sends,
      (onread) => connectTls({ host: '127.0.0.1', port: new URL(url).port, ca, onread }).setNoDelay(true),
      'secureConnect',
    ),
  uds: (sends, url) => socketClient(sends, (onread) => connectTcp({ path: url.slice('uds://'.length), onread }), 'connect'),
  ws: (sends, url) => webSocketClient(sends, new WebSocket(url, { perMessageDeflate: false })),
  wss: (sends, url, { ca }) => webSocketClient(sends, new WebSocket(url, { perMessageDeflate: false, ca })),
  http: (sends, url) => httpClient(sends, httpRequest, { port: new URL(url).port }),
  https: (sends, url, { ca }) => httpClient(sends, httpsRequest, { port: new URL(url).port, ca }),
  grpc: (sends, url) => grpcClient(sends, url, grpc.credentials.createInsecure()),
  grpcs: (sends, url, { ca }) => grpcClient(sends, url, grpc.credentials.createSsl(Buffer.from(ca))),
};

function socketClient(sends, open, ready) {
  const socket = open(sends ? undefined : directRead());
  if (sends) socket.once(ready, () => socketSide(true, socket));
  else socket.resume();
}

function webSocketSide(sends, socket) {
  if (sends) void sendAll((chunk, flushed) => socket.send(chunk, flushed));
  else socket.on('message', eachData());
}
async function webSocketServer(sends, server, scheme) {
  new WebSocketServer({ server, perMessageDeflate: false }).on('connection', (socket) => webSocketSide(sends, socket));
  return listen(server, scheme);
}
function webSocketClient(sends, socket) {
  socket.once('open', () => webSocketSide(sends, socket));
}

const httpSide = (sends) => (request, response) => {
  if (sends) void sendAll((chunk, flushed) => response.write(chunk, flushed));
  else request.on('data', eachData());
};
function httpClient(sends, start, to) {
  const request = start({ host: '127.0.0.1', noDelay: true, method: sends ? 'POST' : 'GET', ...to });
  if (sends) void sendAll((chunk, flushed) => request.write(chunk, flushed));
  else request.on('response', (response) => response.on('data', eachData())).end();
}

const same = (bytes) => bytes;
const METHOD = {
  path: '/bare.Bytes/Move',
  requestStream: true,
  responseStream: true,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
};
const grpcOptions = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };
function grpcSide(sends, call) {
  if (sends) void sendAll((chunk, flushed) => call.write(chunk, flushed));
  else call.on('data', eachData());
}
/** A server with wide windows, like the driver's. */
function grpcServer(sends, credentials, scheme) {
  const widen = (_, call) => {
    call.stream.session.setLocalWindowSize(WINDOW_BYTES);
    call.stream.session.settings({ initialWindowSize: WINDOW_BYTES });
    return call;
  };
  const server = new grpc.Server({ ...grpcOptions, interceptors: [widen] });
  server.addService({ Move: METHOD }, { Move: (call) => grpcSide(sends, call) });
  return new Promise((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (error, port) => (error ? reject(error) : resolve(`${scheme}://127.0.0.1:${port}`))),
  );
}
function grpcClient(sends, url, credentials) {
  const client = new grpc.Client(new URL(url.replace(/^grpcs?/, 'http')).host, credentials, {
    ...grpcOptions,
    'grpc-node.flow_control_window': WINDOW_BYTES,
    // Newer versions of Node refuse an address as a server name of TLS.
    'grpc.ssl_target_name_override': 'localhost',
  });
  const call = client.makeBidiStreamRequest(METHOD.path, same, same);
  grpcSide(sends, call);
  if (!sends) call.write(Buffer.alloc(1)); // the server must see the call
}

process.once('message', async ({ role, scheme, direction, mib: amount, warmMib: before, material, url }) => {
  mib = amount;
  warmMib = before;
  const sends = (role === 'server') === (direction === 'down');
  process.once('disconnect', () => process.exit(0));
  if (role === 'server') process.send({ type: 'listening', url: await servers[scheme](sends, material, url) });
  else process.once('message', ({ url: to }) => clients[scheme](sends, to, material));
});
