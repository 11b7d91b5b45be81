// Imports a JavaScript or TypeScript file of the user: a job or a kit.
import { pathToFileURL } from 'node:url';
import { type ErrorCode, FedStreamError } from '../core/errors.js';

/**
 * The modules that `import … from 'fedstream'` gives such a file, wherever it lies: those that this
 * process already runs.
 */
const ENTRIES = {
  'fedstream/node': '../../dist/node/index.js',
  'fedstream/testing': '../../dist/testing/index.js',
  'fedstream/drivers': '../../dist/node/drivers/index.js',
  'fedstream/web': '../../dist/driver/web.js',
  fedstream: '../../dist/api/index.js',
};

/**
 * The exports of a file, given by its absolute path; throws `code` if it cannot be imported.
 * TypeScript goes through jiti, because Node 20 does not strip types; jiti is loaded only then.
 */
export async function importModule(file: string, code: ErrorCode): Promise<Record<string, unknown>> {
  try {
    if (/\.m?js$/.test(file)) return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
    const { createJiti } = await import('jiti');
    const entries = Object.entries(ENTRIES).map(([name, path]) => [name, new URL(path, import.meta.url)] as const);
    const modules = await Promise.all(entries.map(async ([name, url]) => [name, await import(url.href)] as const));
    // Options of rows are zod schemas; a file outside any project finds zod, too.
    const virtualModules = { ...Object.fromEntries(modules), zod: await import('zod') };
    const jiti = createJiti(import.meta.url, { moduleCache: false, virtualModules });
    return (await jiti.import(file)) as Record<string, unknown>;
  } catch (cause) {
    throw new FedStreamError(code, `${file}: ${(cause as Error).message}`, { cause });
  }
}
