// Shows a run's progress on standard error: bars on a terminal, lines elsewhere.

import cliProgress from 'cli-progress';
import { visible } from '../core/visible.js';
import { type Job, siteNames } from '../job/job.js';
import type { RunEvent } from '../record/events.js';
import { formatBytes, formatLoss, formatSeconds, formatShare } from './report/format.js';
import { say } from './say.js';

/** Shows events and lines to a person. */
export interface EventReporter {
  event(event: RunEvent): void;
  /** Puts a line above the bars. */
  line(text: string): void;
  end(): void;
}

/** A reporter for the events of a run, as they arrive. */
export function eventReporter(job: Job, stream: NodeJS.WriteStream = process.stderr): EventReporter {
  return new Reporter(job, stream);
}

class Reporter implements EventReporter {
  readonly #job: Job;
  readonly #stream: NodeJS.WriteStream;
  readonly #bars: cliProgress.MultiBar | undefined;
  readonly #bySite = new Map<string, cliProgress.SingleBar>();
  readonly #losses = new Map<string, number>();
  readonly #first = new Map<string, number>();

  constructor(job: Job, stream: NodeJS.WriteStream) {
    this.#job = job;
    this.#stream = stream;
    if (!stream.isTTY) return;
    const format = '  {site} {bar} {percentage} %  step {value}/{total}  loss {loss}';
    this.#bars = new cliProgress.MultiBar(
      { format, stream, hideCursor: true, clearOnComplete: false, barsize: 24, linewrap: false },
      cliProgress.Presets.rect,
    );
  }

  readonly event = (event: RunEvent): void => {
    switch (event.type) {
      case 'step':
        this.#step(event);
        break;
      case 'round-started':
        this.#losses.clear();
        this.#first.clear();
        this.line(`round ${event.round}/${this.#job.rounds}`);
        break;
      case 'site-result':
        this.line(`  ${event.site}  train loss ${formatLoss(event.trainLoss)}  ${event.samples} samples  ${event.steps} steps`);
        break;
      case 'round-finished':
        this.line(`  ${formatSeconds(event.seconds)}  ${formatBytes(event.bytesDown)} down  ${formatBytes(event.bytesUp)} up`);
        break;
      case 'evaluation':
        this.line(
          `${event.round === 0 ? 'initial model' : `  global model`}  loss ${formatLoss(event.loss)}${event.exactMatch === undefined ? '' : `  exact match ${formatShare(event.exactMatch)}`}`,
        );
        break;
      case 'warning':
        this.line(`warning: ${event.message}`);
        break;
    }
  };

  line(text: string): void {
    if (this.#bars) this.#bars.log(`${visible(text)}\n`);
    else say(text, this.#stream);
  }

  end(): void {
    this.#bars?.stop();
  }

  #step(event: Extract<RunEvent, { type: 'step' }>): void {
    if (!this.#bars) return;
    const total = this.#job.train.localSteps ?? event.step;
    if (!this.#first.has(event.site)) this.#first.set(event.site, event.step - 1);
    const done = event.step - (this.#first.get(event.site) as number);
    let bar = this.#bySite.get(event.site);
    const width = Math.max(...siteNames(this.#job).map((site) => site.length));
    if (!bar) {
      bar = this.#bars.create(total, 0, { site: event.site.padEnd(width), loss: '' });
      this.#bySite.set(event.site, bar);
    }
    bar.setTotal(Math.max(total, done));
    bar.update(done, { site: event.site.padEnd(width), loss: formatLoss(event.loss) });
  }
}
