// The texts that a site offers with its initial model, without paths of its machine: a name and a
// digest stand in their place.
import { FedStreamError } from '../core/errors.js';

/** Identifies a model folder of this machine by a digest; undefined where there is none at the path. */
export type IdentifyModel = (path: string) => Promise<string | undefined>;

type Value = null | boolean | number | string | readonly Value[] | { readonly [key: string]: Value };

/** Fields that hold the name of a model, or the path that it was loaded from. */
const NAMING = /(^|_)(name_or_path|path|dir|directory|folder|file)$/i;
/** The field of an adapter's configuration that names its base, and the one for the base's version. */
const BASE = 'base_model_name_or_path';
const REVISION = 'revision';
/** A name as hubs have it: `model`, or `owner/model`. */
const HUB_NAME = /^\w[\w.-]*(\/\w[\w.-]*)?$/;
/** A model in the cache of the Hugging Face hub: its name and its commit. */
const CACHED = /models--([\w.-]+?)--([\w.-]+)[\\/]snapshots[\\/]([0-9a-f]{40})/;
/** A whole text that is a path: absolute, of a drive, of a user, relative with dots, or a file URL. */
const PATH = /^(\/[^/\s]|~|\.{1,2}[\\/]|[A-Za-z]:[\\/]|\\\\|file:)/;
/**
 * A path inside a text: an absolute one of two segments or more, a Windows one, one of a user. The
 * slashes of URLs and closing tags do not begin one.
 */
const INSIDE =
  /(?<![\w.<:/\\])(?:file:\/\/)?(?:~|\/[\w.@+-]+)(?:\/[\w.@+ -]*[\w.@+-])+\/?|(?<![\w])[A-Za-z]:[\\/][^\s"'<>|]*|\\\\[\w.-]+\\[^\s"'<>|]*/g;

/**
 * Returns the texts with every path replaced by its last segment, or by the hub's name of a cached
 * model. An adapter's base also gets a digest as its `revision`: the commit in the hub's cache, or
 * that of `identify`. Throws `trainer` for a text that is no JSON object.
 */
export async function withoutPaths(files: Readonly<Record<string, string>>, identify?: IdentifyModel): Promise<Record<string, string>> {
  const cleaned: Record<string, string> = {};
  for (const [name, text] of Object.entries(files)) {
    const json = parsed(text, name);
    const clean = cleanedValue(json, '') as { readonly [key: string]: Value };
    const digest = await baseDigest(json, identify);
    const changed = digest === undefined ? clean : { ...clean, [REVISION]: digest };
    // A text without paths leaves as its owner wrote it.
    cleaned[name] = JSON.stringify(changed) === JSON.stringify(json) ? text : `${JSON.stringify(changed, null, 2)}\n`;
  }
  return cleaned;
}

function parsed(text: string, name: string): { readonly [key: string]: Value } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FedStreamError('trainer', `the offered ${name} is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new FedStreamError('trainer', `the offered ${name} is not a JSON object`);
  return value as { readonly [key: string]: Value };
}

function cleanedValue(value: Value, key: string): Value {
  if (typeof value === 'string') return cleanedText(value, key);
  if (Array.isArray(value)) return value.map((inner) => cleanedValue(inner, key));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [cleanedText(name, ''), cleanedValue(inner, name)]));
}

function cleanedText(text: string, key: string): string {
  if (PATH.test(text) || (NAMING.test(key) && !HUB_NAME.test(text))) return nameOf(text);
  return text.replace(INSIDE, nameOf);
}

/** The hub's name of a cached model; the last segment of any other path. */
function nameOf(path: string): string {
  const cached = CACHED.exec(path);
  if (cached) return `${cached[1]}/${cached[2]}`;
  return path.split(/[\\/]+/).findLast((segment) => segment !== '' && !/^(\.{1,2}|~.*|[A-Za-z]:|file:)$/.test(segment)) ?? '';
}

async function baseDigest(json: { readonly [key: string]: Value }, identify: IdentifyModel | undefined): Promise<string | undefined> {
  const base = json[BASE];
  if (typeof base !== 'string' || HUB_NAME.test(base) || (json[REVISION] !== undefined && json[REVISION] !== null)) return undefined;
  return CACHED.exec(base)?.[3] ?? (await identify?.(base));
}
