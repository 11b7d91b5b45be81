// The texts of a model folder as they come from the other side, each within its limit.
import { BUDGETS } from '../../core/budgets.js';
import { FedStreamError } from '../../core/errors.js';
import type { TokenizerTexts } from './tokenizer-host.js';

type Texts = Readonly<Record<string, string | undefined>>;

/** A configuration by the name of its file; throws `bad-model` without it, `limit` if it is too long. */
export function configuration(files: Texts, name: string): string {
  const text = files[name];
  if (text === undefined) throw new FedStreamError('bad-model', `the server sent no ${name}`);
  const { limit } = BUDGETS.configurationBytes;
  if (text.length > limit) throw new FedStreamError('limit', `${name} has ${text.length} characters; at most ${limit} are read`);
  return text;
}

/** The texts of the tokenizer, which `source` names in messages; throws as `configuration` does. */
export function tokenizerTexts(files: Texts, source: string): TokenizerTexts {
  const json = files['tokenizer.json'];
  if (json === undefined) throw new FedStreamError('bad-model', 'the server sent no tokenizer.json');
  const name = 'tokenizer_config.json';
  const [configJson, template] = [name, 'chat_template.jinja'].map((file) =>
    files[file] === undefined ? undefined : configuration(files, file),
  );
  return { json, configJson, template, source };
}
