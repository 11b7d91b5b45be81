// The order of filters: the places where a chain turns weights into an update and back, and filters
// in impossible places.
import type { CodecTable } from '../codec/codec.js';
import type { Table } from '../core/row.js';
import { builtInFiltersWith } from './built-in.js';
import { type FilterSettings, ownFilters, sendsUpdates } from './chain.js';
import { delta, undelta } from './delta.js';
import { FILTER_POINTS, type Filter, type FilterPoint, type FilterSubject } from './filter.js';

/**
 * Adds a delta or an undelta before each filter that takes the other subject; the output of the
 * chain is `to`.
 */
export function converted(filters: readonly Filter[], from: FilterSubject, to: FilterSubject): Filter[] {
  const chain: Filter[] = [];
  let subject = from;
  const turn = (wanted: FilterSubject): void => {
    if (subject !== wanted) chain.push(wanted === 'update' ? delta() : undelta());
    subject = wanted;
  };
  for (const filter of filters) {
    if (filter.on !== 'either') turn(filter.on);
    chain.push(filter);
    subject = after(subject, filter);
  }
  turn(to);
  return chain;
}

/**
 * The subject that a job's results travel as: an update where its coding, or a filter of its own,
 * makes one.
 */
export function sentSubject(
  settings: FilterSettings,
  codecs: CodecTable,
  table: Table<Filter> = builtInFiltersWith(codecs),
): FilterSubject {
  if (sendsUpdates(settings, codecs)) return 'update';
  return ownFilters(settings, 'result-out', table).findLast(({ makes }) => makes !== undefined)?.makes ?? 'model';
}

/**
 * The filters that the server applies to a decoded result: the job's filters at `result-in`, each
 * given its own subject. `makes` is the subject of the output: the one that travelled, or weights
 * where the last filter turns an update into weights. Without filters of the job's own the list is
 * empty.
 */
export function resultInFilters(
  settings: FilterSettings,
  codecs: CodecTable,
  table: Table<Filter> = builtInFiltersWith(codecs),
): { readonly filters: readonly Filter[]; readonly makes: FilterSubject } {
  const own = ownFilters(settings, 'result-in', table);
  const sent = sentSubject(settings, codecs, table);
  const makes = sent === 'model' ? sent : own.reduce(after, sent);
  return { filters: converted(own, sent, makes), makes };
}

/** The subject of a filter's output. */
function after(subject: FilterSubject, { on, makes }: Filter): FilterSubject {
  return makes ?? (on === 'either' ? subject : on);
}

/**
 * Names the first filter of a job that cannot be in its place, and the reason; undefined where
 * there is none.
 */
export function misplacedFilter(
  settings: FilterSettings,
  codecs: CodecTable,
  table: Table<Filter> = builtInFiltersWith(codecs),
): string | undefined {
  const { filters = {} } = settings;
  for (const point of FILTER_POINTS) {
    let subject: FilterSubject = point === 'result-in' ? sentSubject(settings, codecs, table) : 'model';
    for (const [index, filter] of ownFilters(settings, point, table).entries()) {
      const wrong = misplacement(filter, point, subject);
      if (wrong !== undefined) return `filters.${point}.${index}: ${filters[point]?.[index]?.type}: ${wrong}`;
      subject = after(subject, filter);
    }
  }
  return undefined;
}

function misplacement({ on, makes }: Filter, point: FilterPoint, subject: FilterSubject): string | undefined {
  if (point === 'task-out' || point === 'task-in') {
    // A delta or an undelta has no effect there, since no model was given before.
    if (on !== 'update' || makes !== undefined) return undefined;
    return 'it works on an update, and tasks bring whole weights; put it at result-out or result-in';
  }
  if (makes === undefined || makes !== subject) return undefined;
  return makes === 'update' ? 'there is an update here already; leave it out' : 'there are whole weights here already; leave it out';
}
