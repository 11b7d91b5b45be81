// Models on the Hugging Face hub: a hub on this machine that answers as the real one does, and fails as it does.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { findModel } from '../../src/node/model/find-model.js';
import { openStartModel } from '../../src/node/model/start-model.js';
import type { FieldTable } from './situation.js';

interface HubInput {
  /** The files of `org/name`, as Latin-1. */
  readonly files?: Readonly<Record<string, string>>;
  /** The name that a command is given. */
  readonly name?: string;
  readonly fails?: 'gated' | 'missing' | 'broken' | 'nobody' | 'offline' | 'other bytes' | 'cut off';
  /** What an earlier try left of the weights. */
  readonly left?: number;
  readonly variant?: string;
}

const COMMIT = 'c'.repeat(40);
const header = '{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  ';
const WEIGHTS = `${String.fromCharCode(header.length)}\0\0\0\0\0\0\0${header}\0\0\x80\x3f\0\0\0\x40`;
const INDEX = JSON.stringify({ weight_map: { w: 'model-00001-of-00001.safetensors' } });
const latin = (text: string) => Buffer.from(text, 'latin1');
const digest = (text: string) => createHash('sha256').update(latin(text)).digest('hex');

/** Answers the requests of the hub's library; notes how many bytes of weights it has sent. */
function hub({ files = {}, fails }: HubInput, sent: { bytes: number }) {
  const json = (response: ServerResponse, value: unknown, status = 200) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  return (request: IncomingMessage, response: ServerResponse): void => {
    const path = decodeURIComponent((request.url ?? '').replace(/\?.*/, ''));
    if (fails === 'gated') return void json(response, { error: 'Access to model org/name is restricted' }, 401);
    if (fails === 'missing') return void json(response, { error: 'Repository not found' }, 404);
    if (fails === 'broken') return void json(response, { error: 'Internal Error' }, 503);
    if (path.startsWith('/api/models/org/name/revision/'))
      return void json(response, { _id: '1', id: 'org/name', modelId: 'org/name', sha: COMMIT, tags: [] });
    if (path.startsWith('/api/models/org/name/tree/')) {
      const list = Object.entries(files).map(([name, text]) => {
        const size = latin(text).length;
        const lfs = name.endsWith('.safetensors') ? { lfs: { oid: digest(text), size, pointerSize: 134 } } : {};
        return { type: 'file', path: name, size, oid: digest(text).slice(0, 40), ...lfs };
      });
      return void json(response, list);
    }
    const name = path.split('/').at(-1) as string;
    const bytes = latin(files[name] ?? '');
    const [, from = '0', to = String(bytes.length - 1)] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? [];
    const end = (to === '' ? bytes.length - 1 : Number(to)) + 1;
    let part: Buffer = Buffer.from(bytes.subarray(Number(from), end));
    const headers = { etag: `"${name}"`, 'content-length': part.length, 'content-range': `bytes ${from}-${end - 1}/${bytes.length}` };
    const isProbe = request.headers.range === 'bytes=0-0';
    if (!isProbe && name.endsWith('.safetensors')) {
      sent.bytes += part.length;
      if (fails === 'other bytes') part = Buffer.alloc(part.length, 1);
      if (fails === 'cut off') {
        response.writeHead(request.headers.range ? 206 : 200, headers);
        response.write(part.subarray(0, 10), () => response.destroy());
        return;
      }
    }
    response.writeHead(request.headers.range ? 206 : 200, headers).end(part);
  };
}

export const HUB_MODELS: FieldTable<HubInput> = {
  title: 'Models on the Hugging Face hub',
  intro:
    'A model is named as `hf://org/name`, `hf://org/name@revision`, or `org/name`. It goes into the cache that `huggingface_hub` uses (HF_HOME), file by file, each straight to the disk; HF_ENDPOINT names a mirror, HF_TOKEN or `huggingface-cli login` proves who asks. The package `@huggingface/hub` does the talking.',
  async run(input, { folder }) {
    const { name = 'hf://org/name', left, variant, fails } = input;
    const sent = { bytes: 0 };
    const server = createServer(hub(input, sent));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    if (fails === 'nobody') await new Promise((resolve) => server.close(resolve));
    const cache = join(folder, 'hub', 'models--org--name');
    if (left !== undefined) {
      mkdirSync(join(cache, 'blobs'), { recursive: true });
      writeFileSync(join(cache, 'blobs', `${digest(WEIGHTS)}.incomplete`), latin(WEIGHTS).subarray(0, left));
    }
    const environment = {
      HF_HOME: folder,
      HF_ENDPOINT: `http://127.0.0.1:${port}`,
      ...(fails === 'offline' ? { HF_HUB_OFFLINE: '1' } : {}),
    };
    try {
      const place = await findModel(name, { environment, download: true, variant });
      const model = await openStartModel(place);
      const values: number[] = [];
      for await (const { bytes } of model.chunks()) values.push(...new Float32Array(bytes.slice().buffer));
      await model.close?.();
      const again = await findModel(name, { environment, variant });
      return {
        values,
        sent: sent.bytes,
        config: existsSync(join(place.path, 'config.json')),
        main: readFileSync(join(cache, 'refs', 'main'), 'utf8') === COMMIT,
        same: again.path === place.path,
      };
    } finally {
      server.closeAllConnections();
      server.close();
    }
  },
  rows: [
    {
      name: 'hf://org/name',
      from: 'Hugging Face hub',
      input: { files: { 'config.json': '{}', 'model.safetensors': WEIGHTS, 'pytorch_model.bin': 'not fetched', 'README.md': '# it' } },
      gives: { values: [1, 2], sent: WEIGHTS.length, config: true, main: true, same: true },
      advice: 'It is fetched once, and found in the cache from then on.',
    },
    {
      name: 'org/name without hf://',
      from: 'transformers',
      input: { files: { 'model.safetensors': WEIGHTS }, name: 'org/name' },
      gives: { values: [1, 2], sent: WEIGHTS.length, config: false, main: true, same: true },
      advice: 'The same, where no folder has that name; `--base` looks into the cache alone.',
    },
    {
      name: 'a model in shards',
      from: 'Hugging Face hub',
      input: { files: { 'config.json': '{}', 'model.safetensors.index.json': INDEX, 'model-00001-of-00001.safetensors': WEIGHTS } },
      gives: { values: [1, 2], sent: WEIGHTS.length, config: true, main: true, same: true },
      advice: 'The shards that the index names are fetched.',
    },
    {
      name: 'an index that names a shard that the repository lacks',
      from: 'Hugging Face hub',
      input: { files: { 'model.safetensors.index.json': INDEX } },
      refusal: /hf:\/\/org\/name lacks the shard model-00001-of-00001\.safetensors that its index names/,
      advice: 'Take another revision.',
    },
    {
      name: 'a variant on the hub',
      from: 'diffusers',
      input: { files: { 'model.safetensors': 'not fetched', 'model.fp16.safetensors': WEIGHTS }, variant: 'fp16' },
      gives: { values: [1, 2], sent: WEIGHTS.length, config: false, main: true, same: true },
      advice: 'Only the variant is fetched.',
    },
    {
      name: 'a download that was cut off before',
      from: 'bad networks',
      input: { files: { 'model.safetensors': WEIGHTS }, left: 30 },
      gives: { values: [1, 2], sent: WEIGHTS.length - 30, config: false, main: true, same: true },
      advice: 'It goes on where it ended.',
    },
    {
      name: 'a download that is cut off',
      from: 'bad networks',
      input: { files: { 'model.safetensors': WEIGHTS }, fails: 'cut off' },
      refusal: /hf:\/\/org\/name cannot be fetched: .* goes on where it ended|ended at byte 10 of/,
      advice: 'Run the command again.',
    },
    {
      name: 'a file that arrives with other bytes',
      from: 'bad mirrors',
      input: { files: { 'model.safetensors': WEIGHTS }, fails: 'other bytes' },
      refusal: /model\.safetensors did not arrive as the hub has it; it was removed/,
      advice: 'Run the command again, or name another mirror.',
    },
    {
      name: 'a gated or private model',
      from: 'Meta, Google',
      input: { fails: 'gated' },
      refusal: /cannot be fetched \(401\): it is gated, private, or not there; agree to its licence at .*org\/name.* HF_TOKEN/,
      advice: 'Agree to the licence on its page, then log in.',
    },
    {
      name: 'a name that the hub does not know',
      from: 'typing',
      input: { fails: 'missing' },
      refusal: /has no model org\/name of the revision main; check the name/,
      advice: 'Check the name.',
    },
    {
      name: 'a hub that is out of order',
      from: 'Hugging Face hub',
      input: { fails: 'broken' },
      refusal: /answered 503 for org\/name; try again later/,
      advice: 'Try again later.',
    },
    {
      name: 'a machine without a network',
      from: 'hospitals',
      input: { fails: 'nobody' },
      refusal: /does not answer \(ECONNREFUSED\); check the network, name a mirror in HF_ENDPOINT, or copy the model's folder here/,
      advice: 'Copy the folder of the model there, and name that.',
    },
    {
      name: 'HF_HUB_OFFLINE=1',
      from: 'clusters',
      input: { fails: 'offline' },
      refusal: /is not in .*, and HF_HUB_OFFLINE forbids to fetch it/,
      advice: 'Fetch it on a machine that may.',
    },
    {
      name: 'a repository with PyTorch files alone',
      from: 'Hugging Face hub',
      input: { files: { 'config.json': '{}', 'pytorch_model.bin': 'x' } },
      refusal: /hf:\/\/org\/name has neither model\.safetensors .*, but pytorch_model\.bin/,
      advice: 'Choose a repository with safetensors, or convert it.',
    },
  ],
};
