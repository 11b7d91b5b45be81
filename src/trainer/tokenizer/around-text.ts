// The special tokens that a tokenizer's post-processor puts around a text, such as BOS.

/** Ids before and after a text; none where the post-processor adds none. */
export interface AroundText {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

const NOTHING: AroundText = { before: [], after: [] };

type Fields = { readonly [name: string]: unknown };

/** Reads the post-processor of a tokenizer.json. */
export function aroundText({ post_processor }: Fields): AroundText {
  return ofProcessor(post_processor as Fields | null | undefined);
}

function ofProcessor(processor: Fields | null | undefined): AroundText {
  if (!processor) return NOTHING;
  const { type } = processor;
  if (type === 'Sequence')
    return (Array.isArray(processor.processors) ? processor.processors : [])
      .map((one) => ofProcessor(one as Fields))
      .reduce((all, { before, after }) => ({ before: [...before, ...all.before], after: [...all.after, ...after] }), NOTHING);
  if (type === 'BertProcessing' || type === 'RobertaProcessing') return { before: pairId(processor.cls), after: pairId(processor.sep) };
  if (type !== 'TemplateProcessing' || !Array.isArray(processor.single)) return NOTHING;
  const pieces = processor.single as Fields[];
  const text = pieces.findIndex((piece) => piece.Sequence !== undefined);
  const ids = (some: readonly Fields[]) => some.flatMap((piece) => specialIds(piece, processor.special_tokens as Fields | undefined));
  return { before: ids(pieces.slice(0, Math.max(text, 0))), after: ids(pieces.slice(text + 1)) };
}

function specialIds({ SpecialToken: token }: Fields, table: Fields | undefined): number[] {
  const entry = table?.[String((token as Fields | undefined)?.id)] as Fields | undefined;
  return Array.isArray(entry?.ids) ? entry.ids.filter((id) => Number.isSafeInteger(id) && id >= 0) : [];
}

function pairId(pair: unknown): number[] {
  return Array.isArray(pair) && Number.isSafeInteger(pair[1]) ? [pair[1]] : [];
}
