// Attacks on a server by a stranger or by a site: it serves its honest sites as if nobody attacked.
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { IS_FULL } from '../breadth.js';
import { ATTACKED_SCHEMES, type Attack } from './attack.js';
import { figuresAttacks } from './attacks/figures.js';
import { identityAttacks } from './attacks/identity.js';
import { listenersAttacks } from './attacks/listeners.js';
import { sessionAttacks } from './attacks/session.js';
import { sizesAttacks } from './attacks/sizes.js';
import { Field, type Served } from './served.js';

const ATTACKS: readonly Attack[] = [...figuresAttacks, ...identityAttacks, ...listenersAttacks, ...sessionAttacks, ...sizesAttacks];
const MOST_GROWTH_BYTES = 50e6;
const MOST_LINES = 3;

/**
 * The schemes of each attack. Where somebody waits for the suite each attack has one of its schemes,
 * all in turn, and CI has every pair.
 */
const SCHEMES = new Map(
  ATTACKS.map((attack, index) => {
    const { schemes = ATTACKED_SCHEMES } = attack;
    return [attack, IS_FULL ? schemes : [schemes[index % schemes.length] as string]];
  }),
);

const field = new Field();
beforeAll(() => field.prepare());

describe.each(ATTACKED_SCHEMES)('over %s', (scheme) => {
  let served: Served;
  beforeAll(async () => {
    served = await field.attacked(scheme);
  });
  afterAll(() => served.end());

  const attacks = ATTACKS.filter((attack) => SCHEMES.get(attack)?.includes(scheme));
  test.each(attacks)('$name', async ({ run, line, mostLines = MOST_LINES }) => {
    const { target } = served;
    const warnings = () => target.log().filter(({ level }) => level === 'warn' || level === 'error');
    const linesBefore = warnings().length;
    const bytesBefore = target.rssBytes();
    await run(target);
    await served.checkHonest();
    if (line)
      await vi.waitFor(
        () =>
          expect(
            warnings()
              .slice(linesBefore)
              .map(({ msg }) => msg),
          ).toContainEqual(expect.stringMatching(line)),
        15_000,
      );
    expect(warnings().length - linesBefore).toBeLessThanOrEqual(mostLines);
    await vi.waitFor(() => expect(target.rssBytes() - bytesBefore).toBeLessThan(MOST_GROWTH_BYTES), 20_000);
  });

  test('honest sites finish the job with the bits that it has without attackers', () => served.finishes());
});
