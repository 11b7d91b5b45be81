// The text about a failure of this site for its server: fixed by the code, unless the site's owner
// shares more.
import type { FedStreamError } from '../core/errors.js';
import { FIXED_TEXTS, Tellable } from '../core/told.js';
import { diskFault } from './disk-fault.js';
import { SiteRule } from './site-rule.js';

/**
 * The text that leaves the site. A rule of the owner's is named, since it says nothing of the data;
 * the values that broke it stay in the site's log.
 */
export function siteTold(error: FedStreamError, share: { readonly errors: boolean }): string {
  if (share.errors || error.cause instanceof Tellable) return error.message;
  if (error.cause instanceof SiteRule) return `its owner's rule ${error.cause.name} does not allow it`;
  return diskFault(error) ?? FIXED_TEXTS[error.code];
}
