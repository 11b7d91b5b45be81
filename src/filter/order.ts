// The order of filters: where a chain turns weights into an update and back, and which filters
// cannot be where they stand.
import type { CodecTable } from '../codec/codec.js';
import type { Table } from '../core/row.js';
import { builtInFiltersWith } from './built-in.js';
import { type FilterSettings, ownFilters, sendsUpdates } from './chain.js';
import { delta, undelta } from './delta.js';
import { FILTER_POINTS, type Filter, type FilterPoint, type FilterSubject } from './filter.js';

/** The same filters, with a delta or an undelta before each one that takes the other; what comes out is `to`. */
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

/** What a job's results travel as: an update where its coding says so, or where its own filters make one of the weights. */
export function sentSubject(
  settings: FilterSettings,
  codecs: CodecTable,
  table: Table<Filter> = builtInFiltersWith(codecs),
): FilterSubject {
  if (sendsUpdates(settings, codecs)) return 'update';
  return ownFilters(settings, 'result-out', table).findLast(({ makes }) => makes !== undefined)?.makes ?? 'model';
}

/**
 * The filters that the server applies to a result as it arrived, decoded: the job's filters at `result-in`, each given what it works on.
 * `makes` says what comes out: what travelled, or weights where the last filter of an update makes some. Without filters of the
 * job's own there is nothing to do.
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

/** The subject behind a filter. */
function after(subject: FilterSubject, { on, makes }: Filter): FilterSubject {
  return makes ?? (on === 'either' ? subject : on);
}

/** Names the first filter of a job that cannot be where it stands, and says why; undefined where there is none. */
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
    // A delta and an undelta change nothing there: nothing was given before.
    if (on !== 'update' || makes !== undefined) return undefined;
    return 'it works on an update, and tasks bring whole weights; put it at result-out or result-in';
  }
  if (makes === undefined || makes !== subject) return undefined;
  return makes === 'update' ? 'there is an update here already; leave it out' : 'there are whole weights here already; leave it out';
}
