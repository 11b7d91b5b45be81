// The name of a rule of a site's owner, as the cause of a refusal.
import { FedStreamError } from '../core/errors.js';

/** A rule of `site.json`, by the name of its field. */
export class SiteRule {
  /** `limits.leastSamples`, … */
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** The refusal by a rule: `refused`, with the rule's name in the message and as the cause. */
export function refusedBy(rule: string, message: string): FedStreamError {
  return new FedStreamError('refused', `${rule}: ${message}`, { cause: new SiteRule(rule) });
}
