// Packages that are not always there: loaded when they are first needed, and missed in one clear line.
import { FedStreamError } from '../../core/errors.js';

/** `unsupported` where it is not installed, naming what needs it and the command that installs it. */
export async function needPackage<T>(name: string, what: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    throw new FedStreamError('unsupported', `${what} needs the package ${name}, which is not installed here; run: npm install ${name}`, {
      cause,
    });
  }
}
