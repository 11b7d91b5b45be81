// Answers measured: the pass that checks every value of an answer gives its norms, by which a
// round's answers are then compared.
import type { CodecTable } from '../codec/codec.js';
import { inFloat32 } from '../codec/float32.js';
import { checkFinite } from '../exchange/finite.js';
import type { Job } from '../job/job.js';
import { elementCount } from '../tensor/dtype.js';
import { MODEL_NAME } from '../tensor/extra-names.js';
import { splitDicts } from '../tensor/named-dicts.js';
import type { StateDict } from '../tensor/state-dict.js';
import { checkAgainstModel, checkNorm, type Norms, outliers } from './norm-bound.js';
import type { LiveOffer } from './offers.js';
import type { UpdateReplies } from './update-replies.js';

/** The ask that an answer is to, as far as it matters for norms. */
export interface MeasuredAsk {
  readonly site: string;
  readonly task: { readonly round: number };
  readonly offer: LiveOffer | undefined;
  readonly returns: 'update' | 'model' | 'figures';
}

/** Measures answers, and says which of a round are refused. */
export class AnswerNorms {
  readonly #job: Job;
  readonly #codecs: CodecTable;
  readonly #updates: UpdateReplies;
  readonly #models = new WeakMap<LiveOffer, Promise<number>>();
  #measuring: Promise<void> = Promise.resolve();

  constructor(job: Job, codecs: CodecTable, updates: UpdateReplies) {
    this.#job = job;
    this.#codecs = codecs;
    this.#updates = updates;
  }

  /**
   * Reads every value of a message whose manifest fits; returns the norms of its update and of its
   * extras. Throws `non-finite`, or `bad-model` for a norm that is never taken.
   */
  async of(message: StateDict, { site, task, offer, returns }: MeasuredAsk): Promise<Norms> {
    const { model, ...extras } = splitDicts(message);
    const norms: Record<string, number> = {};
    for (const [name, dict] of Object.entries(extras)) norms[name] = await this.#measure(inFloat32(dict), `${name} of ${site}`);
    if (!model) return norms;
    if (returns === 'update' && offer) norms[MODEL_NAME] = await this.#ofUpdate(model, offer, task.round, site);
    else norms[MODEL_NAME] = await this.#measure(model, `the initial model of ${site}`);
    return norms;
  }

  /** Why answers of a round are refused, by site. Models of the sites' own are not compared. */
  refused(answers: readonly { readonly ask: MeasuredAsk; readonly norms: Norms }[]): Promise<Map<string, string>> {
    const compared = answers.filter(({ ask }) => ask.returns !== 'model');
    const offers = new Map(compared.map(({ ask }) => [ask.site, ask.offer]));
    const modelNorm = async (site: string): Promise<number> => {
      const offer = offers.get(site);
      return offer ? this.#ofModel(offer) : 0;
    };
    return outliers(
      compared.map(({ ask, norms }) => ({ site: ask.site, norms })),
      this.#job.normBound,
      modelNorm,
    );
  }

  async #ofUpdate(message: StateDict, offer: LiveOffer, round: number, site: string): Promise<number> {
    const whose = `the result of ${site}`;
    const contributed = await this.#updates.contributed(message, offer, round, site);
    const norm = await this.#measure(contributed.model, whose, this.#updates.given(contributed, offer, site));
    const elements = contributed.model.manifest.tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
    await checkAgainstModel({ norm, elements, modelNorm: () => this.#ofModel(offer) }, this.#job.normBound, whose);
    return norm;
  }

  /** The norm of the model that an offer brings; read when it is first needed. */
  #ofModel(offer: LiveOffer): Promise<number> {
    const known = this.#models.get(offer) ?? this.#measure(offer.held, 'the model');
    this.#models.set(offer, known);
    return known;
  }

  /**
   * The norm of a state dict, or of its change, with every value checked. One after the other: each
   * uses all cores, and memory must not grow with the number of sites that finish at once.
   */
  async #measure(model: StateDict, whose: string, given?: StateDict): Promise<number> {
    const measured = this.#measuring.then(() => checkFinite(model, whose, this.#codecs, given));
    this.#measuring = measured.then(
      () => {},
      () => {},
    );
    const norm = await measured;
    checkNorm(norm, whose);
    return norm;
  }
}
