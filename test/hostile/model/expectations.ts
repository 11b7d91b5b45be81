// The state in which a server must be once it has taken in what was said: nothing is owed to
// anybody.
import { BUDGETS } from '../../../src/core/budgets.js';
import type { Findings } from './findings.js';
import type { Insider } from './insider.js';
import type { OpenedStream } from './opened-stream.js';
import type { World } from './world.js';

/** Requests that wait until it is known which task the site has. */
const WAITING: ReadonlySet<string> = new Set(['progress', 'evaluated', 'fail', 'has-base']);
/** The most streams that a server may have open to one peer; further requests for objects wait. */
const MOST_SENDS = BUDGETS.openSends.limit;
const OBJECTS: ReadonlySet<string> = new Set(['retrieve', 'file', 'object']);

/** Checks one connection; `idleMs` is the silence after which the server gives it up. */
export function checkInsider(insider: Insider, all: readonly Insider[], world: World, findings: Findings, idleMs: number): void {
  const silentMs = performance.now() - insider.lastSentMs;
  const stopped = world.watch.stopped.reason !== undefined;
  if (insider.ended) {
    if (!insider.reading) findings.count('ended unread');
    const excused = insider.mustEnd !== undefined || insider.mayEnd.size > 0 || !insider.reading || silentMs > 0.85 * idleMs || stopped;
    findings.check(excused, 'a session ended without a cause', () => `${insider.site}: ${insider.ended?.code} ${insider.ended?.message}`);
    return;
  }
  if (!insider.reading) return;
  // One that was not admitted may wait for its refusal, and nothing more of it is read.
  if (!insider.admitted) return;
  findings.check(insider.mustEnd === undefined, 'a session goes on that must end', () => `${insider.site}: ${insider.mustEnd}`);
  findings.check(silentMs < 1.5 * idleMs, 'a silent session goes on', () => `${insider.site}: ${silentMs} ms`);
  // What a peer whose frames may be bad has asked is answered, unless its session ends soon.
  if (insider.mustEnd !== undefined) return;
  findings.check(insider.pings === 0, 'a ping without a pong', () => `${insider.site}: ${insider.pings}`);
  const sends = [...insider.offered.values()].filter(({ state }) => state !== 'over').length;
  findings.check(sends <= MOST_SENDS, 'sends without limit', () => `${sends} to ${insider.site}`);
  checkRequests(insider, world, findings);
  for (const stream of insider.opened.values()) checkStream(stream, insider, all, world, findings);
}

function checkRequests(insider: Insider, world: World, findings: Findings): void {
  const { watch } = world;
  const stopped = watch.stopped.reason !== undefined;
  const given = stopped || watch.current(insider.site) !== undefined;
  const taking = [...insider.opened.values()].some(({ state }) => state !== 'over');
  const sends = [...insider.offered.values()].filter(({ state }) => state !== 'over').length;
  for (const [id, waiting] of insider.asked) {
    if (insider.doubled.has(id)) continue;
    for (const { name, may } of waiting) {
      const mayWait =
        name === 'next'
          ? taking || (!stopped && !watch.open(insider.site))
          : may.has('ok') && ((WAITING.has(name) && !given) || (OBJECTS.has(name) && (!given || sends >= MOST_SENDS)));
      const slowed = (name === 'progress' && insider.slowed) || (name === 'evaluated' && taking);
      findings.check(mayWait || slowed, 'a request without a reply', () => `${name} of ${insider.site}`);
    }
  }
}

function checkStream(stream: OpenedStream, insider: Insider, all: readonly Insider[], { watch }: World, findings: Findings): void {
  const { state, lawful, posted, awaitsRetry } = stream;
  findings.check(
    !awaitsRetry || !lawful || state === 'over' || state === 'opened',
    'a damaged leaf was not asked for again',
    () => `${stream.id} of ${insider.site}`,
  );
  if (!lawful || (state !== 'opened' && state !== 'ending')) return;
  // Results of one task are taken in one after the other, and none before the first task.
  const others = all.some((other) =>
    [...other.opened.values()].some((one) => one !== stream && one.posted === posted && one.state !== 'over'),
  );
  if (others || watch.current(insider.site) === undefined) return;
  findings.add('a stream without an answer', `${state} ${stream.object.name} ${posted?.task.id} of ${insider.site}`);
}
