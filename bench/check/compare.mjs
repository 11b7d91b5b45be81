// Compares what a case was counted to do with its budget.
import { availableParallelism } from 'node:os';

const KIB = 1024;
const MIB = 1024 * KIB;
/** The cores that the budgets were counted on: each further one is a thread more with memory of its own. */
const CORES = 2;

/**
 * How far above its budget a counter may be, as a share and an absolute number. What files are asked
 * for, in pieces of 4 KiB and more, follows from the model alone, but for buffers of logs. Sockets
 * give and take pieces as they come, so that a byte that travels may be copied once more or less.
 */
const ALLOWED = {
  reads: [0.01, 8],
  readBytes: [0.01, 64 * KIB],
  writes: [0.01, 8],
  writtenBytes: [0.01, 64 * KIB],
  syncs: [0, 0],
  renames: [0, 0],
  copiedBytes: [0.05, MIB],
  receivedBytes: [0.01, 64 * KIB],
  sentBytes: [0.01, 64 * KIB],
  systemReadBytes: [0.02, 2 * MIB],
  systemWrittenBytes: [0.02, 2 * MIB],
  peakBytes: [0.15, 12 * MIB + 16 * MIB * Math.max(0, availableParallelism() - CORES)],
};
/** Counters of work that is worth a new budget once half of it is gone: a wide budget guards nothing. */
const TIGHT = ['readBytes', 'writtenBytes', 'copiedBytes', 'syncs'];

/** The most that a counter may be, by the budgets of its role. */
function most(counter, budgets) {
  const [share, more] = ALLOWED[counter];
  return Math.floor(budgets[counter] * (1 + share) + more + pieces(counter, budgets));
}

/** What may be copied or not, by how the bytes happen to come in. */
function pieces(counter, { receivedBytes = 0, sentBytes = 0 }) {
  return counter === 'copiedBytes' ? receivedBytes + sentBytes : 0;
}

/**
 * The lines that say how counts of the roles of a case, `{role: {counter: number}}`, break their
 * budgets of the same form; none where all is well.
 */
export function faultsOf(name, counts, budgets) {
  if (!budgets) return [`${name}: it has no budget; count it with --renew`];
  return Object.entries(counts).flatMap(([role, found]) =>
    Object.entries(found).flatMap(([counter, count]) => faultOf(`${name}: ${role}: ${counter}`, counter, count, budgets[role] ?? {})),
  );
}

function faultOf(what, counter, count, budgets) {
  const budget = budgets[counter];
  if (budget === undefined) return [`${what} has no budget; count it with --renew`];
  if (count > most(counter, budgets)) return [`${what} is ${shown(count)}, ${times(count, budget)} its budget of ${shown(budget)}`];
  const [, more] = ALLOWED[counter];
  if (TIGHT.includes(counter) && 2 * (count + pieces(counter, budgets)) + more < budget)
    return [`${what} is ${shown(count)}, less than half of its budget of ${shown(budget)}; renew the budget with --renew`];
  return [];
}

const times = (count, budget) => (budget > 0 ? `${(count / budget).toFixed(2)} ×` : 'above');
const shown = (count) => count.toLocaleString('en-US');
