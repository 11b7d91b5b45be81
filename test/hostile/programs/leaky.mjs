// A trainer for tests: what it knows of its machine and its samples is in everything that it says.
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const [how, secret, path] = process.argv.slice(2);
const BREAKS = new Set(['crash', 'throw', 'garbage', 'message', 'type']);
const socket = connect(process.env.FEDSTREAM_BRIDGE.slice('unix:'.length));
const say = (message) => socket.write(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`);

/** A safetensors file of one tensor `w`, with metadata of its own. */
function write(file, metadata) {
  const header = JSON.stringify({ ...(metadata && { __metadata__: metadata }), w: { dtype: 'F32', shape: [3], data_offsets: [0, 12] } });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(file, Buffer.concat([length, Buffer.from(header), Buffer.from(Float32Array.of(1, 2, 3).buffer)]));
}

function train({ id, result }) {
  process.stdout.write(`sample: ${secret} in ${path}/patients.jsonl\n`);
  if (how === 'crash') process.exit(1);
  if (how === 'throw') throw new Error(`cannot tokenize "${secret}"`);
  if (how === 'garbage') return say(`${secret} ${path}`);
  if (how === 'message') return say({ type: 'result', task: id, samples: secret });
  if (how === 'type') return say({ type: secret });
  if (how === 'no-file') return say({ type: 'result', task: id, samples: 20, steps: 1, trainLoss: 1 });
  if (how === 'header')
    writeFileSync(result, Buffer.concat([Buffer.from([200, 0, 0, 0, 0, 0, 0, 0]), Buffer.from(`${secret} ${path}`.padEnd(300))]));
  else write(result, { format: 'pt', source: `${path}/${secret}` });
  const extras = how === 'extras' ? ['aside'] : [];
  if (how === 'extras') write(`${result}.aside.safetensors`, { [secret]: path });
  say({ type: 'step', step: 1, loss: 1, learningRate: 0.1, tokens: 4 });
  const metrics = how === 'metrics' ? { [secret]: 1, [`${path}/loss`]: 2, perplexity: 3 } : {};
  say({ type: 'result', task: id, samples: 20, steps: 1, trainLoss: 1, metrics, extras });
}

function offer({ id, result }) {
  write(result, { format: 'pt', folder: path });
  const adapter = { base_model_name_or_path: path, r: 4, auto_mapping: { file: `${path}/code.py`, note: `made in ${path}/runs by hand` } };
  const files = {
    'config.json': JSON.stringify({ _name_or_path: `${path}/`, model_type: 'tiny' }),
    'adapter_config.json': JSON.stringify(adapter),
  };
  say({ type: 'result', task: id, files });
}

say({ type: 'hello', protocol: 1, client: `${path} ${secret}` });
for await (const line of createInterface({ input: socket })) {
  const message = JSON.parse(line);
  if (message.type === 'stop') break;
  if (message.type === 'task') {
    if (message.kind === 'train') train(message);
    else if (message.kind === 'offer') offer(message);
    else say({ type: 'result', task: message.id, evaluation: { loss: 1, samples: 3 } });
  }
  // One that broke a rule in a training waits for its end.
  if (!BREAKS.has(how) || message.kind !== 'train') say({ type: 'receive' });
}
socket.end();
