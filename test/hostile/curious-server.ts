// A server that a site cannot trust: it hands out the tasks that a test gives it, and keeps every
// byte that the site sends.
import { decode } from '@msgpack/msgpack';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { FedStreamError } from '../../src/core/errors.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Connection } from '../../src/driver/driver.js';
import { Retriever } from '../../src/exchange/retriever.js';
import { Session } from '../../src/frame/session.js';
import { tcp } from '../../src/node/drivers/tcp.js';
import { memorySource } from '../../src/stream/source.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { objectBytes, objectSource } from '../../src/transfer/object.js';
import { receiveModel } from '../../src/transfer/receive.js';

/** A request of the site, or the figures of a result. */
export interface Heard {
  readonly name: string;
  readonly body: Record<string, unknown>;
}

export interface Plan {
  readonly job: Record<string, unknown>;
  readonly files?: Readonly<Record<string, string>>;
  /** The model of every task; by default one small tensor. */
  readonly model?: StateDict;
  /**
   * The tasks in order; then the site is told to stop. Fields that are missing are those of a round;
   * `served` is the task's own model, which has the tensors of `model`.
   */
  readonly tasks?: readonly Record<string, unknown>[];
}

const SMALL = memoryStateDict([{ name: 'w', dtype: 'F32', shape: [3], data: new Float32Array(3) }]);

export async function curiousServer({ job, files = {}, model = SMALL, tasks = [] }: Plan) {
  const received: Uint8Array[] = [];
  const heard: Heard[] = [];
  const closed: Promise<FedStreamError>[] = [];
  const left = [...tasks];
  let open: Record<string, unknown> | undefined;
  const note = (name: string) => (body: Uint8Array) => {
    heard.push({ name, body: decoded(body) });
    if (name !== 'progress') open = undefined;
    return {};
  };
  const next = () => {
    open ??= left.shift();
    if (!open) return { stop: 'no more tasks' };
    const whole = { object: 'whole', bytes: objectBytes(model.manifest, referenceCodecs) };
    const digest = open.digest === undefined ? {} : { digest: open.digest };
    const { digest: _, served: __, ...task } = open;
    const filled = { id: `t-${tasks.length - left.length}`, kind: 'train', round: 1, rounds: 2, evaluate: false, ...task };
    return { task: { ...filled, ...(filled.kind !== 'offer' && { model: { whole, ...digest } }) } };
  };
  const serve = async (connection: Connection): Promise<void> => {
    const session = new Session(listening(connection, received), { name: 'server', idleMs: 20_000 });
    new Retriever(session, {
      codecs: referenceCodecs,
      offers: {
        fileSource: async (name) => memorySource(new TextEncoder().encode(files[name] ?? '')),
        modelSource: async () => objectSource((open?.served as StateDict | undefined) ?? model, referenceCodecs, 'whole'),
      },
      onOpen: (stream) => {
        const { figures } = stream.meta as { figures: Record<string, unknown> };
        void receiveModel(stream, { codecs: referenceCodecs, folder: memoryFolder('spool'), name: 'result' }).then(
          () => {
            heard.push({ name: 'result', body: figures });
            open = undefined;
          },
          () => {},
        );
      },
      handlers: {
        join: () => ({ job, files: Object.keys(files), run: 'curious' }),
        next: async () => {
          // A result is confirmed a moment before it is noted.
          await new Promise((resolve) => setTimeout(resolve, 50));
          return next();
        },
        progress: note('progress'),
        fail: note('fail'),
        evaluated: note('evaluated'),
        'has-base': note('has-base'),
      },
    });
    closed.push(session.closed);
    await session.start().catch(() => {});
  };
  const { listen } = tcp();
  if (!listen) throw new FedStreamError('unsupported', 'tcp listens');
  const listener = await listen('tcp://127.0.0.1:0', (connection) => void serve(connection));
  return {
    url: listener.url,
    heard,
    /** Everything that came, as text: whatever was sent stands in it. */
    text: () => Buffer.concat(received).toString('latin1'),
    /** The words with which the site ended its last session. */
    bye: async () => (await closed.at(-1))?.message ?? '',
    close: () => listener.close(),
  };
}

/** The same connection; its frames are kept. */
function listening(connection: Connection, received: Uint8Array[]): Connection {
  return {
    peer: connection.peer,
    send: (...parts) => connection.send(...parts),
    close: (reason) => connection.close(reason),
    closed: connection.closed,
    async *[Symbol.asyncIterator]() {
      for await (const frame of connection) {
        received.push(frame.slice());
        yield frame;
      }
    },
  };
}

function decoded(body: Uint8Array): Record<string, unknown> {
  const value = decode(body);
  if (value === null || typeof value !== 'object') throw new FedStreamError('bad-frame', 'a request without fields');
  return value as Record<string, unknown>;
}
