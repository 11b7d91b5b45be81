// Loads optional packages when they are first needed.
import { FedStreamError } from '../../core/errors.js';

/**
 * Loads a package. Rejects with `unsupported` if it is not installed; the message says what needs
 * it and which command installs it.
 */
export async function needPackage<T>(name: string, what: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    throw new FedStreamError('unsupported', `${what} needs the package ${name}, which is not installed here; run: npm install ${name}`, {
      cause,
    });
  }
}
