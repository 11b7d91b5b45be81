// One driver made of several: the scheme of the URL decides.
import { FedStreamError } from '../core/errors.js';
import type { Driver } from './driver.js';

/**
 * Makes a driver with the schemes of all the drivers that it is given; for each scheme, the first
 * one that has it is used. Nothing is registered anywhere else. A URL of another scheme is refused
 * with `bad-argument`.
 */
export function chooseDriver(drivers: readonly Driver[]): Driver {
  const table = new Map<string, Driver>();
  for (const driver of [...drivers].reverse()) for (const scheme of driver.schemes) table.set(scheme, driver);
  const schemes = drivers.flatMap((driver) => driver.schemes);
  const of = (url: string): Driver => {
    const driver = table.get(/^([a-z]+):/.exec(url)?.[1] ?? '');
    if (driver) return driver;
    throw new FedStreamError(
      'bad-argument',
      `${JSON.stringify(url)} is not an address; an address begins with one of ${schemes.join('://, ')}://`,
    );
  };
  return {
    schemes,
    connect: async (url, options) => of(url).connect(url, options),
    identify: async (url, options) => of(url).identify?.(url, options),
    async listen(url, accept, options) {
      const driver = of(url);
      if (!driver.listen) throw new FedStreamError('unsupported', `nothing can listen on ${url} here`);
      return driver.listen(url, accept, options);
    },
  };
}
