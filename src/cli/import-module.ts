// Imports a JavaScript or TypeScript file of the user: a job or a kit.
import { pathToFileURL } from 'node:url';
import { type ErrorCode, FedStreamError } from '../core/errors.js';

/**
 * The modules that `import … from 'fedstream'` gives such a file, wherever it lies: those that this
 * process already runs.
 */
const ENTRIES = ['fedstream/node', 'fedstream/testing', 'fedstream/drivers', 'fedstream/web', 'fedstream'];

/**
 * The exports of a file, given by its absolute path; throws `code` if it cannot be imported.
 * TypeScript goes through jiti, because Node 20 does not strip types; jiti is loaded only then.
 */
export async function importModule(file: string, code: ErrorCode): Promise<Record<string, unknown>> {
  try {
    if (/\.m?js$/.test(file)) return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
    const { createJiti } = await import('jiti');
    const modules = await Promise.all(ENTRIES.map(async (name) => [name, await import(name)] as const));
    // Options of rows are zod schemas; a file outside any project finds zod, too.
    const virtualModules = { ...Object.fromEntries(modules), zod: await import('zod') };
    const jiti = createJiti(import.meta.url, { moduleCache: false, virtualModules });
    return (await jiti.import(file)) as Record<string, unknown>;
  } catch (cause) {
    throw new FedStreamError(code, `${file}: ${(cause as Error).message}`, { cause });
  }
}
