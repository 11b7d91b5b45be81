// Makes the model of a `tokenizer.json` of the pieces and scores of SentencePiece BPE, as transformers
// converts Llama's (`generate_merges` of convert_slow_tokenizer.py).

/** Pieces by id, each with its score; the higher, the earlier two others are joined to it. */
export interface Pieces {
  readonly tokens: readonly string[];
  readonly scores: readonly number[];
}

/** All pairs of pieces cost their length each; the largest vocabularies have some 2 million characters. */
const MOST_WORK = 2 ** 28;

/**
 * The merges in their order; undefined where there are more pairs than any honest vocabulary has.
 * `vocab` has the id of each piece.
 */
export function mergesOf({ tokens, scores }: Pieces, vocab: ReadonlyMap<string, number>): string[][] | undefined {
  const merges: { left: string; right: string; score: number; lengths: readonly [number, number] }[] = [];
  let work = 0;
  for (const [id, token] of tokens.entries()) {
    const characters = [...token];
    work += token.length * characters.length;
    if (work > MOST_WORK) return undefined;
    const local: { left: string; right: string; at: number }[] = [];
    for (let at = 1; at < characters.length; at++) {
      const [left, right] = [characters.slice(0, at).join(''), characters.slice(at).join('')];
      if (vocab.has(left) && vocab.has(right)) local.push({ left, right, at });
    }
    const idOf = (piece: string) => vocab.get(piece) as number;
    local.sort((a, b) => idOf(a.left) - idOf(b.left) || idOf(a.right) - idOf(b.right));
    for (const { left, right, at } of local)
      merges.push({ left, right, score: scores[id] as number, lengths: [at, characters.length - at] });
  }
  merges.sort((a, b) => b.score - a.score || b.lengths[0] - a.lengths[0] || b.lengths[1] - a.lengths[1]);
  return merges.map(({ left, right }) => [left, right]);
}

/** Spaces become ▁, one of them before a text, and bytes stand for what no piece has. */
export function sentencePieceRules(prefix: boolean) {
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const back = [{ type: 'Replace', pattern: { String: '▁' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }];
  return {
    normalizer: { type: 'Sequence', normalizers: prefix ? [{ type: 'Prepend', prepend: '▁' }, replace] : [replace] },
    decoder: { type: 'Sequence', decoders: prefix ? [...back, { type: 'Strip', content: ' ', start: 1, stop: 0 }] : back },
  };
}
