// Builds `summary.json` from the events of a run, keeping only aggregates, since a run may have
// millions of steps.
import type { EventOf, RecordedEvent } from './events.js';
import { bestRound } from './selection.js';
import type { EvaluationSummary, RoundSummary, SiteEvaluationSummary, SiteRoundSummary, Summary } from './summary-schema.js';

/** Warnings kept word for word; all are counted, and all are in the log. */
const WARNINGS_KEPT = 50;

interface Round {
  seconds: number | null;
  reduceSeconds: number | null;
  readonly sites: Map<string, SiteRoundSummary>;
}

/** The summary of a run's events, given in order. */
export function buildSummary(events: Iterable<RecordedEvent>): Summary {
  const builder = new SummaryBuilder();
  for (const event of events) builder.add(event);
  return builder.summary();
}

/** Takes events one after the other; the summary is available at any time. */
export class SummaryBuilder {
  #started: EventOf<'run-started'> | undefined;
  /** The time of the first start, which a continued run keeps. */
  #startedAt: string | null = null;
  #reason: string | null = null;
  #lastMs = 0;
  #steps = 0;
  #tokens = 0;
  #warningCount = 0;
  readonly #warnings: string[] = [];
  readonly #rounds = new Map<number, Round>();
  readonly #evaluations = new Map<number, EvaluationSummary>();
  readonly #personal = new Map<number, EvaluationSummary>();
  /** By model and site: told once more after a crash, they replace what was told before. */
  readonly #bySite = new Map<string, SiteEvaluationSummary>();
  /** By site; null for all together. */
  readonly #statistics = new Map<string | null, NonNullable<Summary['statistics']>[number]>();
  #initialHeld: EvaluationSummary | null = null;
  readonly #peaks = new Map<string, number>();
  readonly #bytes = { down: 0, up: 0, fp32Down: 0, fp32Up: 0, own: 0 };

  add(event: RecordedEvent): void {
    this.#lastMs = Math.max(this.#lastMs, event.atMs ?? 0);
    switch (event.type) {
      case 'run-started':
        this.#started = event;
        this.#startedAt ??= event.startedAt;
        this.#reason = null;
        break;
      case 'round-started':
        this.#round(event.round);
        break;
      case 'step':
        this.#steps++;
        this.#tokens = plus(this.#tokens, event.tokens);
        break;
      case 'transfer':
        this.#addTransfer(event);
        break;
      case 'site-result':
        this.#addResult(event);
        break;
      case 'evaluation':
        this.#addEvaluation(event);
        break;
      case 'personal-evaluation':
        this.#personal.set(event.round, {
          round: event.round,
          loss: event.loss,
          exactMatch: event.exactMatch ?? null,
          samples: event.samples,
        });
        break;
      case 'site-evaluation':
        this.#addSiteEvaluation(event);
        break;
      case 'statistics': {
        const { site = null, statistics = null, reason = null } = event;
        this.#statistics.set(site, { site, statistics, reason });
        break;
      }
      case 'memory':
        this.#peaks.set(event.process, Math.max(this.#peaks.get(event.process) ?? 0, event.peakRssBytes, event.rssBytes));
        break;
      case 'round-finished': {
        const round = this.#round(event.round);
        round.seconds = event.seconds;
        round.reduceSeconds = event.reduceSeconds ?? null;
        break;
      }
      case 'warning':
        this.#warningCount++;
        if (this.#warnings.length < WARNINGS_KEPT) this.#warnings.push(event.message);
        break;
      case 'run-finished':
        this.#reason = event.reason;
        break;
    }
  }

  summary(): Summary {
    const evaluations = [...this.#evaluations.values()].sort((a, b) => a.round - b.round);
    const last = evaluations.at(-1);
    const candidates = evaluations.map((evaluation) => ({
      round: evaluation.round,
      metrics: { ...evaluation, exactMatch: evaluation.exactMatch ?? undefined },
    }));
    const best = bestRound(candidates, { selection: this.#started?.selection ?? 'loss' });
    const peaks = [...this.#peaks].sort(([a], [b]) => compareNames(a, b));
    return {
      run: this.#started?.name ?? '',
      reason: this.#reason,
      startedAt: this.#startedAt,
      wallSeconds: this.#lastMs / 1000,
      codec: this.#started?.codec ?? '',
      streaming: this.#started?.streaming ?? '',
      seed: this.#started?.seed ?? null,
      parameters: this.#started?.parameters ?? null,
      sites: [...(this.#started?.sites ?? [])],
      roundsPlanned: this.#started?.rounds ?? 0,
      initial: this.#evaluations.get(0) ?? null,
      initialHeld: this.#initialHeld,
      final: last && last.round > 0 ? last : null,
      best: (best && this.#evaluations.get(best.round)) ?? null,
      evaluations,
      ...(this.#personal.size > 0 && { personal: [...this.#personal.values()].sort((a, b) => a.round - b.round) }),
      ...(this.#bySite.size > 0 && { siteEvaluations: [...this.#bySite.values()] }),
      ...(this.#statistics.size > 0 && { statistics: [...this.#statistics.values()] }),
      rounds: this.#roundSummaries(),
      steps: this.#steps,
      tokens: this.#tokens,
      bytes: this.#byteSummary(),
      peakRssBytes: Object.fromEntries(peaks),
      peakRssBytesTotal: peaks.reduce((sum, [, peak]) => plus(sum, peak), 0),
      warningCount: this.#warningCount,
      warnings: [...this.#warnings],
    };
  }

  /**
   * Every transfer counts, including those of a round that had to be repeated: the bytes were sent.
   */
  #addTransfer({ site, round, direction, bytes, fp32Bytes, ownBytes, seconds, retries, resumedBytes }: EventOf<'transfer'>): void {
    this.#bytes.own = plus(this.#bytes.own, ownBytes ?? fp32Bytes);
    const figures = this.#siteRound(round, site);
    figures.retries = plus(figures.retries, retries);
    figures.resumedBytes = plus(figures.resumedBytes, resumedBytes);
    if (direction === 'down') {
      figures.bytesDown = plus(figures.bytesDown, bytes);
      figures.fp32BytesDown = plus(figures.fp32BytesDown, fp32Bytes);
      figures.secondsDown += seconds;
      this.#bytes.down = plus(this.#bytes.down, bytes);
      this.#bytes.fp32Down = plus(this.#bytes.fp32Down, fp32Bytes);
    } else {
      figures.bytesUp = plus(figures.bytesUp, bytes);
      figures.fp32BytesUp = plus(figures.fp32BytesUp, fp32Bytes);
      figures.secondsUp += seconds;
      this.#bytes.up = plus(this.#bytes.up, bytes);
      this.#bytes.fp32Up = plus(this.#bytes.fp32Up, fp32Bytes);
    }
  }

  /** New results of a repeated round replace the old ones. */
  #addResult({ site, round, trainLoss, samples, steps, counts, metrics, personal }: EventOf<'site-result'>): void {
    Object.assign(this.#siteRound(round, site), {
      trainLoss,
      samples,
      steps,
      ...(counts && { counts }),
      ...(personal && { personal }),
      ...(metrics && Object.keys(metrics).length > 0 && { metrics }),
    });
  }

  #addEvaluation({ round, loss, exactMatch, samples, byCategory, held }: EventOf<'evaluation'>): void {
    const evaluation = { round, loss, exactMatch: exactMatch ?? null, samples, ...(byCategory && { byCategory }) };
    if (held) this.#initialHeld = evaluation;
    else this.#evaluations.set(round, evaluation);
  }

  #addSiteEvaluation({ site, round, trained, loss, exactMatch, samples, reason }: EventOf<'site-evaluation'>): void {
    this.#bySite.set(JSON.stringify([round, trained, site]), {
      site,
      round,
      trained: trained ?? null,
      loss: loss ?? null,
      exactMatch: exactMatch ?? null,
      samples: samples ?? null,
      reason: reason ?? null,
    });
  }

  #round(round: number): Round {
    let found = this.#rounds.get(round);
    if (!found) {
      found = { seconds: null, reduceSeconds: null, sites: new Map() };
      this.#rounds.set(round, found);
    }
    return found;
  }

  #siteRound(round: number, site: string): SiteRoundSummary {
    const { sites } = this.#round(round);
    let found = sites.get(site);
    if (!found) {
      found = {
        trainLoss: null,
        samples: null,
        steps: null,
        bytesDown: 0,
        bytesUp: 0,
        fp32BytesDown: 0,
        fp32BytesUp: 0,
        secondsDown: 0,
        secondsUp: 0,
        retries: 0,
        resumedBytes: 0,
      };
      sites.set(site, found);
    }
    return found;
  }

  #roundSummaries(): RoundSummary[] {
    return [...this.#rounds]
      .sort(([a], [b]) => a - b)
      .map(([round, { seconds, reduceSeconds, sites }]) => {
        const entries = [...sites].sort(([a], [b]) => compareNames(a, b)).map(([site, figures]) => [site, { ...figures }] as const);
        return { round, seconds, reduceSeconds, sites: Object.fromEntries(entries) };
      });
  }

  #byteSummary(): Summary['bytes'] {
    const { down, up, fp32Down, fp32Up, own } = this.#bytes;
    const total = plus(down, up);
    const fp32Total = plus(fp32Down, fp32Up);
    const ratio = fp32Total > 0 ? total / fp32Total : null;
    return { down, up, total, fp32Down, fp32Up, fp32Total, ownTotal: own, ratio, ownRatio: own > 0 ? total / own : null };
  }
}

/** Adds counts; a sum beyond the exact integers stays at the largest one, so that it can be read. */
function plus(sum: number, count = 0): number {
  return Math.min(sum + count, Number.MAX_SAFE_INTEGER);
}

/** Sorts `site-2` before `site-10`, the same on every machine. */
function compareNames(a: string, b: string): number {
  const inNumbers = a.localeCompare(b, 'en', { numeric: true });
  return inNumbers !== 0 ? inNumbers : Number(a > b) - Number(a < b);
}
