// The most likely pieces of a word after Kudo 2018 (Viterbi), as the reference finds them.
import { FedStreamError } from '../../core/errors.js';
import { byteTokens, type EncodeWord, spell } from './bpe.js';

/** The reference's penalty of a character without a piece. */
const UNKNOWN_PENALTY = 10;

interface Node {
  readonly next: Map<number, Node>;
  /** The last piece of that text in the vocabulary, as in the reference's own table. */
  id: number;
}

interface UnigramModel {
  readonly vocab: readonly (readonly [string, number])[];
  readonly unk_id?: number | null;
  readonly byte_fallback?: boolean;
}

/** Makes the encoder of a model; throws `bad-model` for a vocabulary that is none. */
export function unigramEncoder(json: unknown, source: string): EncodeWord {
  const { vocab, unk_id, byte_fallback } = json as UnigramModel;
  if (!Array.isArray(vocab) || !vocab.every((entry) => Array.isArray(entry) && typeof entry[0] === 'string' && Number.isFinite(entry[1])))
    throw new FedStreamError(
      'bad-model',
      `${source} cannot be used as a tokenizer: its Unigram vocabulary is no list of pieces and scores`,
    );
  const root: Node = { next: new Map(), id: -1 };
  const ids = new Map<string, number>();
  for (const [id, [piece]] of vocab.entries()) {
    ids.set(piece, id);
    let node = root;
    for (let at = 0; at < piece.length; at++) {
      const unit = piece.charCodeAt(at);
      const next = node.next.get(unit) ?? { next: new Map(), id: -1 };
      node.next.set(unit, next);
      node = next;
    }
    if (node !== root) node.id = id;
  }
  const scores = Float64Array.from(vocab, ([, score]) => score);
  const unknownScore = scores.reduce((least, score) => Math.min(least, score), Number.POSITIVE_INFINITY) - UNKNOWN_PENALTY;
  const unknown = unk_id ?? undefined;
  const bytes = byte_fallback ? byteTokens(ids) : undefined;
  const idsOf = (piece: string): readonly number[] => {
    const id = ids.get(piece);
    if (id !== undefined) return [id];
    const spelled = bytes && spell(piece, bytes);
    if (spelled) return spelled;
    if (unknown === undefined)
      throw new FedStreamError(
        'bad-model',
        `${source} has no tokens for ${JSON.stringify(piece.slice(0, 40))}; its vocabulary is not complete`,
      );
    return [unknown];
  };
  return (word) => cut(word, root, scores, unknownScore, unknown).flatMap(idsOf);
}

/** The pieces of the best path; neighbours without a piece are one. */
function cut(word: string, root: Node, scores: Float64Array, unknownScore: number, unknown: number | undefined): string[] {
  const { length } = word;
  const best = new Float64Array(length + 1);
  const from = new Int32Array(length + 1).fill(-1);
  const piece = new Int32Array(length + 1);
  const offer = (start: number, end: number, score: number, id: number): void => {
    const candidate = score + (best[start] as number);
    if (from[end] !== -1 && !(candidate > (best[end] as number))) return;
    best[end] = candidate;
    from[end] = start;
    piece[end] = id;
  };
  for (let start = 0; start < length; ) {
    const one = (word.codePointAt(start) as number) > 0xffff ? 2 : 1;
    let single = false;
    let node: Node | undefined = root;
    for (let at = start; at < length; at++) {
      node = node.next.get(word.charCodeAt(at));
      if (!node) break;
      if (node.id < 0) continue;
      offer(start, at + 1, scores[node.id] as number, node.id);
      if (at + 1 - start === one) single = true;
    }
    if (!single) offer(start, start + one, unknownScore, unknown ?? -1);
    start += one;
  }
  const pieces: string[] = [];
  let fusedTo = -1;
  for (let end = length; end > 0; end = from[end] as number) {
    const start = from[end] as number;
    const isUnknown = unknown !== undefined && piece[end] === unknown;
    if (isUnknown && fusedTo === end) pieces[pieces.length - 1] = word.slice(start, end) + (pieces.at(-1) as string);
    else pieces.push(word.slice(start, end));
    fusedTo = isUnknown ? start : -1;
  }
  return pieces.reverse();
}
