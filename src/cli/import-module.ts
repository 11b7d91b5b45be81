// Imports a JavaScript or TypeScript file that a person wrote: a job, a kit.
import { pathToFileURL } from 'node:url';
import { type ErrorCode, FedStreamError } from '../core/errors.js';

/** What `import … from 'fedstream'` means in such a file, wherever it lies: the modules that run already. */
const ENTRIES = {
  'fedstream/node': '../../dist/node/index.js',
  'fedstream/testing': '../../dist/testing/index.js',
  'fedstream/drivers': '../../dist/node/drivers/index.js',
  'fedstream/web': '../../dist/driver/web.js',
  fedstream: '../../dist/api/index.js',
};

/** The exports of a file by its absolute path; `code` where it cannot be imported. TypeScript goes through jiti, which is loaded only then: Node 20 does not strip types. */
export async function importModule(file: string, code: ErrorCode): Promise<Record<string, unknown>> {
  try {
    if (/\.m?js$/.test(file)) return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
    const { createJiti } = await import('jiti');
    const entries = Object.entries(ENTRIES).map(([name, path]) => [name, new URL(path, import.meta.url)] as const);
    const modules = await Promise.all(entries.map(async ([name, url]) => [name, await import(url.href)] as const));
    // Options of rows are zod schemas: a file that lies in no project of its own finds it, too.
    const virtualModules = { ...Object.fromEntries(modules), zod: await import('zod') };
    const jiti = createJiti(import.meta.url, { moduleCache: false, virtualModules });
    return (await jiti.import(file)) as Record<string, unknown>;
  } catch (cause) {
    throw new FedStreamError(code, `${file}: ${(cause as Error).message}`, { cause });
  }
}
