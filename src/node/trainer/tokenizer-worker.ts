// The thread or process of a tokenizer whose rules somebody else wrote: it can be ended whatever
// they do.
import { parentPort, Worker } from 'node:worker_threads';
import { asFedStreamError } from '../../core/errors.js';
import { encodeSamples } from '../../trainer/data/encode-sample.js';
import { loadTokenizer, type Tokenizer } from '../../trainer/tokenizer/tokenizer.js';
import type { EncodeReply, EncodeRequest, TokenizerTexts } from './tokenizer-host.js';

let tokenizer: Tokenizer | undefined;

function answer(request: TokenizerTexts | EncodeRequest): EncodeReply {
  try {
    if ('json' in request) {
      tokenizer = loadTokenizer(request.json, request.configJson, request.source, request.template);
      return { padToken: tokenizer.padToken };
    }
    return { encoded: encodeSamples(tokenizer as Tokenizer, request.samples, request.maxTokens) };
  } catch (error) {
    const { code, message } = asFedStreamError(error);
    return { error: { code, message } };
  }
}

if (parentPort) {
  const port = parentPort;
  port.on('message', (request: TokenizerTexts | EncodeRequest) => {
    const reply = answer(request);
    port.postMessage(reply, reply.encoded?.examples.map(({ tokens }) => tokens.buffer as ArrayBuffer) ?? []);
  });
} else {
  process.on('message', (request: TokenizerTexts | EncodeRequest) => process.send?.(answer(request)));
  process.on('disconnect', () => process.exit());
  // Rules that never end would outlive a site that was killed: a thread sees that it is gone.
  const orphaned = 'const site = process.ppid; setInterval(() => process.ppid !== site && process.kill(process.pid, "SIGKILL"), 1000);';
  new Worker(orphaned, { eval: true }).unref();
}
