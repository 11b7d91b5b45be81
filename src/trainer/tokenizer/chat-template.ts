// Chat templates: the Jinja programs with which a model's makers turn a conversation into text. They
// come from the other side, so they run where a tokenizer's rules run, which can be ended.
import { Template } from '@huggingface/jinja';
import { BUDGETS } from '../../core/budgets.js';
import { FedStreamError } from '../../core/errors.js';
import { isAnswer, type Message } from '../data/conversation.js';
import { callStripCharacters, STRIP_CHARACTERS, stripCharacters } from './strip-characters.js';
import { type RenderedTurns, spansByDifference } from './turn-spans.js';

/** A model's chat template. */
export interface ChatTemplate {
  /**
   * The whole conversation as text, and where in it the answers stand. Throws `bad-data` where the
   * template refuses the conversation, `limit` beyond the budget.
   */
  render(messages: readonly Message[], tools: readonly unknown[] | undefined): RenderedTurns;
}

type Fields = { readonly [name: string]: unknown };

/** The engine has a clock of its own under the name that templates use. */
const DAY = 'day_of_the_template';
const GENERATION = /\{%(-?)\s*(end)?generation\s*(-?)%\}/g;
/** Names under which a template looks for special tokens. */
const SPECIAL_NAMES = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'];
/** Names of a turn's reasoning, the one that templates read first. */
const REASONING = ['reasoning_content', 'thinking', 'reasoning'];

/**
 * The template of a model folder: `chat_template.jinja`, or `chat_template` in
 * `tokenizer_config.json`; undefined without one. Throws `bad-model` for one that is no Jinja.
 */
export function chatTemplate(config: Fields, file: string | undefined, source: string): ChatTemplate | undefined {
  const texts = templateTexts(config, file);
  if (!texts) return undefined;
  const specials: Readonly<Record<string, string>> = Object.fromEntries(
    SPECIAL_NAMES.flatMap((name) => {
      const token = config[name];
      const content = typeof token === 'object' && token !== null ? (token as Fields).content : token;
      return typeof content === 'string' ? [[name, content]] : [];
    }),
  );
  const plain = compiled(texts.plain, specials, source);
  const withTools = texts.withTools === texts.plain ? plain : compiled(texts.withTools, specials, source);
  return {
    render(messages, tools) {
      const { run, marks } = tools && tools.length > 0 ? withTools : plain;
      const input = messages.map(forTemplate);
      const [begin, end] = marksFor(JSON.stringify([input, tools]));
      const text = (turns: readonly Fields[], add_generation_prompt: boolean, marked = false): string =>
        run(turns, tools, add_generation_prompt, marked ? [begin, end] : ['', '']);
      const answers = messages.flatMap((message, index) => (message.role === 'assistant' ? [index] : []));
      if (marks) {
        const marked = fromMarks(text(input, false, true), begin, end);
        const weighted = marked.spans.length === answers.length;
        const spans = weighted ? marked.spans.filter((_, at) => isAnswer(messages[answers[at] as number] as Message)) : marked.spans;
        return { text: marked.text, spans, lost: 0 };
      }
      const wanted = answers.filter((index) => isAnswer(messages[index] as Message));
      return spansByDifference((count, prompt) => text(input.slice(0, count), prompt), input, wanted, specials.eos_token ?? '');
    },
  };
}

/** The templates for conversations without and with tools; some models have one for each. */
function templateTexts(config: Fields, file: string | undefined): { plain: string; withTools: string } | undefined {
  const given = file ?? config.chat_template;
  if (typeof given === 'string') return { plain: given, withTools: given };
  if (!Array.isArray(given)) return undefined;
  const named = new Map(given.map((one: Fields) => [one?.name, one?.template]));
  const plain = named.get('default') ?? named.values().next().value;
  const withTools = named.get('tool_use') ?? plain;
  return typeof plain === 'string' && typeof withTools === 'string' ? { plain, withTools } : undefined;
}

interface Compiled {
  /** True where the template marks the turns of the assistant itself. */
  readonly marks: boolean;
  run(messages: readonly Fields[], tools: readonly unknown[] | undefined, prompt: boolean, marks: readonly [string, string]): string;
}

function compiled(text: string, specials: Fields, source: string): Compiled {
  const marks = /\{%-?\s*generation\s*-?%\}/.test(text);
  // A mark takes the place of each tag, within a block, so that blanks beside it go as they went.
  const marked = text
    .replaceAll('strftime_now', DAY)
    .replace(
      GENERATION,
      (_, left: string, end: string | undefined, right: string) =>
        `{%${left} if true %}{{ ${end ? 'generation_end_mark' : 'generation_begin_mark'} }}{% endif ${right}%}`,
    );
  let template: Template;
  try {
    template = new Template(marked);
    callStripCharacters(template.parsed);
  } catch (cause) {
    throw new FedStreamError('bad-model', `${source}: its chat template is no Jinja that can be read here: ${(cause as Error).message}`, {
      cause,
    });
  }
  // The day is left out, so that a run repeated on another day trains the same tokens.
  const today = /strftime_now\s+is\s+defined/.test(text) ? undefined : (): string => '2024-07-26';
  return {
    marks,
    run(messages, tools, prompt, [begin, end]) {
      let rendered: string;
      try {
        rendered = template.render({
          ...specials,
          messages: structuredClone(messages),
          tools: tools && tools.length > 0 ? tools : null,
          documents: null,
          add_generation_prompt: prompt,
          ...(today && { [DAY]: today }),
          [STRIP_CHARACTERS]: stripCharacters,
          generation_begin_mark: begin,
          generation_end_mark: end,
        });
      } catch (cause) {
        throw new FedStreamError('bad-data', `the chat template refuses it: ${(cause as Error).message}`, { cause });
      }
      const { limit } = BUDGETS.renderedCharacters;
      if (rendered.length > limit)
        throw new FedStreamError(
          'limit',
          `${source}: its chat template makes ${rendered.length} characters of one conversation; at most ${limit} are taken`,
        );
      return rendered;
    },
  };
}

/** A message as transformers gives it to a template: without nulls, its reasoning under each name. */
function forTemplate({ weight: _, ...message }: Message): Fields {
  const filled = Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null && value !== undefined));
  const reasoning = REASONING.map((name) => filled[name]).find((value) => value !== undefined);
  return reasoning === undefined ? filled : { thinking: reasoning, ...filled, reasoning_content: reasoning };
}

/** Two texts that stand nowhere in a conversation. */
function marksFor(conversation: string): [string, string] {
  let number = 0;
  while (conversation.includes(`\uE000${number}\uE000`)) number++;
  return [`\uE000${number}\uE000b\uE000`, `\uE000${number}\uE000e\uE000`];
}

/** The text without marks, and where they stood. */
function fromMarks(marked: string, begin: string, end: string): { text: string; spans: [number, number][] } {
  const spans: [number, number][] = [];
  let text = '';
  let rest = marked;
  for (let at = rest.indexOf(begin); at >= 0; at = rest.indexOf(begin)) {
    text += rest.slice(0, at);
    rest = rest.slice(at + begin.length);
    const until = rest.indexOf(end);
    const inside = until < 0 ? rest : rest.slice(0, until);
    spans.push([text.length, text.length + inside.length]);
    text += inside;
    rest = until < 0 ? '' : rest.slice(until + end.length);
  }
  return { text: text + rest, spans };
}
