// Which cells bench/network.mjs measures: every driver over every link in every size of chunk, and stripes over the first driver.

const KIB = 1024;
const DRIVERS = ['tcp', 'tcps', 'ws', 'wss', 'http', 'https', 'grpc', 'grpcs'];
const numbers = (given, standard) => (given ?? standard).split(',').map(Number);

/** Links, and the cells of each; `auto` is what a stream chooses by itself. */
export function planOf(options) {
  const quick = options.quick ?? false;
  const drivers = options.drivers?.split(',') ?? (quick ? ['tcp', 'tcps', 'ws', 'http', 'grpc'] : DRIVERS);
  const chunks = (options.chunks ?? (quick ? 'auto' : 'auto,64,256,1024,4096'))
    .split(',')
    .map((size) => (size === 'auto' ? undefined : Number(size) * KIB));
  const stripes = numbers(options.stripes, quick ? '1' : '1,4');
  const links = [];
  for (const mbit of numbers(options.mbit, quick ? '100,1000' : '50,100,1000'))
    for (const roundTripMs of numbers(options.rtt, '1,50,200'))
      for (const lossPercent of numbers(options.loss, quick ? '0' : '0,1')) links.push({ mbit, roundTripMs, lossPercent });
  const [first] = drivers;
  const cells = drivers.flatMap((scheme) => chunks.map((chunkBytes) => ({ scheme, chunkBytes, stripes: stripes[0] })));
  for (const count of stripes.slice(1)) cells.push({ scheme: first, chunkBytes: chunks[0], stripes: count });
  return { links, cells };
}
