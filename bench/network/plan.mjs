// Lists the cells that bench/network.mjs measures: every driver over every link with every chunk
// size, and stripes over the first driver.

const KIB = 1024;
/** Drivers that can be measured. */
export const DRIVERS = ['tcp', 'tcps', 'ws', 'wss', 'http', 'https', 'grpc', 'grpcs'];
const QUICK_DRIVERS = ['tcp', 'tcps', 'ws', 'http', 'grpc'];
/** Chunk sizes that can be measured, in KiB; with `auto` a stream chooses its own. */
export const CHUNK_CHOICES = ['auto', '16', '32', '64', '128', '256', '512', '1024', '2048', '4096'];

/** Links, and the cells of each. */
export function planOf({ quick = false, ...given }) {
  const drivers = given.drivers ?? (quick ? QUICK_DRIVERS : DRIVERS);
  const sizes = given.chunks ?? (quick ? ['auto'] : ['auto', '64', '256', '1024', '4096']);
  const chunks = sizes.map((size) => (size === 'auto' ? undefined : Number(size) * KIB));
  const stripes = given.stripes ?? (quick ? [1] : [1, 4]);
  const links = [];
  for (const mbit of given.mbit ?? (quick ? [100, 1000] : [50, 100, 1000]))
    for (const roundTripMs of given.rtt ?? [1, 50, 200])
      for (const lossPercent of given.loss ?? (quick ? [0] : [0, 1])) links.push({ mbit, roundTripMs, lossPercent });
  const [first] = drivers;
  const cells = drivers.flatMap((scheme) => chunks.map((chunkBytes) => ({ scheme, chunkBytes, stripes: stripes[0] })));
  for (const count of stripes.slice(1)) cells.push({ scheme: first, chunkBytes: chunks[0], stripes: count });
  return { links, cells };
}
