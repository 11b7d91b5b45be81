// The scheme of a URL picks the driver out of the table that was given.
import { expect, test } from 'vitest';
import { chooseDriver } from './choose-driver.js';
import type { Driver } from './driver.js';
import { memory } from './memory.js';

test('each scheme has its driver, the first of a scheme before later ones', async () => {
  const near = memory();
  const far = memory();
  const pageOnly: Driver = { schemes: ['page'], connect: () => Promise.reject(new Error('page')) };
  const both = chooseDriver([near, far, pageOnly]);
  await near.listen?.('memory://a', () => {});
  await expect(both.connect('memory://a')).resolves.toMatchObject({ peer: expect.stringContaining('memory://a') });
  await far.listen?.('memory://b', () => {});
  await expect(both.connect('memory://b')).rejects.toMatchObject({ code: 'closed' });
  await expect(both.connect('page://x')).rejects.toThrow('page');
  await expect(both.listen?.('page://x', () => {})).rejects.toMatchObject({ code: 'unsupported' });
  await expect(both.connect('other://x')).rejects.toMatchObject({ code: 'bad-argument', message: expect.stringContaining('memory://, ') });
});
