// The budgets of manifests, models and spools.
import type { Budget } from './budget.js';

/** The budgets of manifests, models and spools. */
export const SIZE_BUDGETS = {
  manifestBytes: {
    limit: 64 * 1024 * 1024,
    unit: 'bytes',
    each: 'object',
    beyond: 'the object is refused',
    why: 'a manifest of 100,000 tensors has some 13 MB, and one with extras a few times as much',
  },
  offeredManifestBytes: {
    limit: 32 * 1024 * 1024,
    unit: 'bytes',
    each: 'offered model',
    beyond: 'the offer is refused before its tensors are taken',
    why: 'a model whose tensors nobody knows yet: twice the largest that there are',
  },
  offeredTensors: {
    limit: 250_000,
    unit: 'tensors',
    each: 'offered model',
    beyond: 'the offer is refused before its tensors are taken',
    why: 'a mixture-of-experts model of hundreds of billions of parameters has some 100,000',
  },
  offeredChunkElements: {
    limit: 2 ** 20,
    unit: 'elements',
    each: 'chunk of a model whose tensors nobody knows yet',
    beyond: 'the model is refused before its tensors are taken',
    why: 'buffers for chunks are as large as their sender cuts them; four times the usual size',
  },
  manifestFactor: {
    limit: 3,
    unit: 'times the expected manifest',
    each: 'result or update',
    beyond: 'the object is refused before its tensors are taken',
    why: 'names and shapes are known; the encodings of tensors and the prefix of extras add to them',
  },
  objectFactor: {
    limit: 2,
    unit: 'times the model uncoded',
    each: 'result or update',
    beyond: 'the object is refused before its tensors are taken',
    why: 'sparse codes at their densest have one and a half times the bytes of float32',
  },
  offerBytes: {
    limit: 20e9,
    unit: 'bytes',
    each: 'offered model',
    beyond: 'the offer is refused before its tensors are taken',
    why: 'ten billion parameters in 16 bits; a job whose sites offer more says so (offerBytes)',
  },
  diskShare: {
    limit: 50,
    unit: 'percent of the space that was free',
    each: 'site, for all that a server makes it keep',
    beyond: 'the task fails with one error; nothing of the object is kept',
    why: 'a disk has other users; the owner says otherwise in site.json (diskBytes)',
  },
  diskReserveBytes: {
    limit: 1024 * 1024 * 1024,
    unit: 'bytes',
    each: 'disk that spools are written to (a twentieth of a small one)',
    beyond: 'the object is refused before it is taken',
    why: 'a disk that is full stops everything else on the machine, the log of it included',
  },
  modelTextBytes: {
    limit: 96 * 1024 * 1024,
    unit: 'bytes',
    each: 'run, for the texts of its model folder at a site',
    beyond: 'the site ends with one error',
    why: 'they are held in memory; the tokenizer of the largest vocabularies has some 35 MB',
  },
  hubFiles: {
    limit: 5_000,
    unit: 'files',
    each: 'model on the Hugging Face hub',
    beyond: 'the model is refused before anything of it is fetched',
    why: 'the largest have some hundred shards; the list is held in memory',
  },
} as const satisfies Readonly<Record<string, Budget>>;
