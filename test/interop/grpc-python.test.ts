// Python speaks to the grpc driver with the code that its own tools generate from the .proto.
import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connection } from '../../src/driver/driver.js';
import { grpc } from '../../src/node/drivers/grpc.js';
import { runPython, withoutPython } from '../python/python.js';
import { python } from '../python/venv.js';

const SIZES = [1, 2, 1000, 65_536, 2 ** 20, 4 * 2 ** 20];
const PEER = fileURLToPath(new URL('grpc_peer.py', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'fedstream-grpc-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(withoutPython)('grpcio', () => {
  beforeAll(() => {
    // The folder must not have a subfolder `fedstream`, which is the name of a package of ours.
    copyFileSync(fileURLToPath(new URL('../../proto/fedstream/v1/frames.proto', import.meta.url)), join(folder, 'frames.proto'));
    runPython(['-m', 'grpc_tools.protoc', `-I${folder}`, `--python_out=${folder}`, `--grpc_python_out=${folder}`, 'frames.proto'], folder);
  });

  test('its client exchanges frames with our server', async () => {
    let accepted: (connection: Connection) => void = () => {};
    const connection = new Promise<Connection>((resolve) => {
      accepted = resolve;
    });
    const listener = await grpc().listen?.('grpc://127.0.0.1:0', accepted);
    const address = listener?.url.slice('grpc://'.length) as string;
    const peer = spawn(python, [PEER, folder, 'client', address, SIZES.join(',')], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    peer.stdout.on('data', (text) => {
      said += text;
    });
    const ended = new Promise((resolve) => peer.on('close', resolve));
    const server = await connection;
    for await (const frame of server) await server.send(frame.slice());
    await server.close();
    expect(await server.closed).toBeUndefined();
    expect([await ended, said]).toEqual([0, 'the same\n']);
    await listener?.close();
  });

  test('its server exchanges frames with our client', async () => {
    const peer = spawn(python, [PEER, folder, 'server'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => peer.on('close', resolve));
    try {
      const port = await new Promise<string>((resolve) => peer.stdout.once('data', (text) => resolve(String(text).trim())));
      const connection = await grpc().connect(`grpc://127.0.0.1:${port}`);
      const sent = SIZES.map((size) => Buffer.alloc(size, size % 251));
      const sending = Promise.all(sent.map((frame) => connection.send(frame)));
      let came = 0;
      for await (const frame of connection) {
        expect(Buffer.compare(frame, sent[came] as Buffer)).toBe(0);
        if (++came === sent.length) break;
      }
      await sending;
      await connection.close();
      expect(await connection.closed).toBeUndefined();
    } finally {
      peer.kill();
      await ended;
    }
  });
});
