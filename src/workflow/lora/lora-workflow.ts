// What a job's `lora` adds to the asks of its workflow: the stack that goes with the model, and the
// rank of each site's own adapter.
import { LORA_FIGURES } from '../../exchange/lora-task.js';
import { type Lora, siteRank } from '../../job/lora.js';
import { STACK, stackOf } from '../../tensor/lora-stack.js';
import type { NamedDicts } from '../../tensor/named-dicts.js';
import type { Ask, Federation, Offer, OfferOptions, Workflow } from '../federation.js';
import { checkedPairs, LORA_KEPT } from './lora-aggregator.js';

/** The workflow as it is for jobs that average factors of one rank; with what `lora` adds, for others. */
export function loraWorkflow(lora: Lora, inner: Workflow): Workflow {
  if (lora.type === 'factors' && !lora.ranks) return inner;
  return Object.assign((federation: Federation) => inner(new LoraFederation(federation, lora).federation()), inner);
}

class LoraFederation {
  readonly #inner: Federation;
  readonly #lora: Lora;
  /** The stack of the current round, the same for all its asks: it is coded once. */
  #stack: { readonly round: number; readonly extras: Promise<NamedDicts | undefined> } | undefined;
  #checked = false;

  constructor(inner: Federation, lora: Lora) {
    this.#inner = inner;
    this.#lora = lora;
  }

  federation(): Federation {
    const inner = this.#inner;
    return {
      job: inner.job,
      sites: inner.sites,
      models: inner.models,
      codecs: inner.codecs,
      log: inner.log,
      signal: inner.signal,
      evaluate: inner.evaluate,
      get history() {
        return inner.history;
      },
      get round() {
        return inner.round;
      },
      random: (...labels) => inner.random(...labels),
      connected: () => inner.connected(),
      sample: () => inner.sample(),
      note: (round, evaluation) => inner.note(round, evaluation),
      noteSites: (round, figures) => inner.noteSites(round, figures),
      inFlight: inner.inFlight,
      emit: (event) => inner.emit(event),
      offer: (options) => this.#offer(options),
      ask: async (site, task) => inner.ask(site, this.#asked(task, site, await this.#extras(task))),
      gather: async (task, options = {}) => {
        const sites = options.sites ?? inner.sites;
        const asks = new Map(sites.map((site) => [site, typeof task === 'function' ? task(site) : task]));
        const first = [...asks.values()].find(usesModel);
        const extras = first && (await this.#extras(first));
        return inner.gather((site) => this.#asked(asks.get(site) as Ask, site, extras), options);
      },
      commit: async (figures) => {
        const open = await this.#stack?.extras;
        await inner.commit(figures);
        this.#stack = undefined;
        await open?.[STACK]?.close?.();
      },
    };
  }

  /** Offers the model; before the first task it is known whether it has what `lora` needs. */
  async #offer(options?: OfferOptions): Promise<Offer> {
    const offer = await this.#inner.offer(options);
    if (!this.#checked) checkedPairs(offer.held, this.#lora);
    this.#checked = true;
    return offer;
  }

  #asked(ask: Ask, site: string, stack: NamedDicts | undefined): Ask {
    if (!usesModel(ask)) return ask;
    const own = siteRank(this.#lora, site);
    const figures = own && { ...ask.figures, [LORA_FIGURES.rank]: own.rank, [LORA_FIGURES.scale]: own.scale };
    // A trainer that would leave the stack out is refused before the first training.
    const needs = this.#lora.type === 'exact' && ask.kind === 'train' && { needs: [...(ask.needs ?? []), STACK] };
    return { ...ask, ...(figures && { figures }), ...needs, ...(stack && { extras: ask.extras ? { ...ask.extras, ...stack } : stack }) };
  }

  async #extras(ask: Ask): Promise<NamedDicts | undefined> {
    if (this.#lora.type !== 'exact' || !usesModel(ask)) return undefined;
    const { round } = this.#inner;
    if (this.#stack?.round !== round) this.#stack = { round, extras: this.#open() };
    return this.#stack.extras;
  }

  /** The stack that belongs to the last model; undefined where nothing is left over yet. */
  async #open(): Promise<NamedDicts | undefined> {
    const { models } = this.#inner;
    if (!(await models.names()).includes(LORA_KEPT)) return undefined;
    const stack = stackOf(await models.open(LORA_KEPT));
    if (stack.manifest.tensors.length > 0) return { [STACK]: stack };
    await stack.close?.();
    return undefined;
  }
}

function usesModel({ kind, offer }: Ask): boolean {
  return offer !== undefined && kind !== 'base';
}
