// The reducing process of `fedstream bench reduce`: averages the clients' spools, as a server does.
import { CODEC_POOL } from '../../codec/codec.js';
import { nodeCodecPool } from '../../node/codec/codec-pool.js';
import { nodeCodecs } from '../../node/codec/codecs.js';
import { peakRssBytes } from '../../node/process/memory.js';
import { nodeFolder } from '../../node/storage/node-folder.js';
import { RAW } from '../../tensor/manifest.js';
import { writeSafetensors } from '../../tensor/safetensors.js';
import { openSpool } from '../../transfer/spool.js';
import type { Contribution } from '../../workflow/aggregate/aggregator.js';
import { mean } from '../../workflow/aggregate/mean.js';
import { REDUCED_MODEL, type ReduceReport, type ReduceSettings } from './reduce-settings.js';

const { folder, arrived, threads } = JSON.parse(process.argv.at(-1) as string) as ReduceSettings;
process.stdin.on('end', () => process.exit(1)).resume();
const pool = nodeCodecPool(threads === undefined ? {} : { threads });
const codecs = { ...nodeCodecs(), [CODEC_POOL]: () => pool };
const disk = nodeFolder(folder);
const contributions: Contribution[] = [];
// A site's weight does not depend on the order of arrival.
for (const site of arrived)
  contributions.push({ site, samples: 100 + Number(site.split('-')[1]), model: await openSpool(disk, site, codecs), isUpdate: false });
const { manifest, chunks } = (contributions[0] as Contribution).model;
const previous = { manifest: { ...manifest, tensors: manifest.tensors.map((tensor) => ({ ...tensor, encoding: RAW })) }, chunks };
const startedMs = performance.now();
const keep = (): never => {
  throw new Error('the mean keeps nothing');
};
const reduced = await mean({ results: contributions, previous, codecs, state: {}, integers: 'refuse', round: 1, rounds: 1, keep });
await writeSafetensors(disk, REDUCED_MODEL, reduced, { durable: false });
const report: ReduceReport = { seconds: (performance.now() - startedMs) / 1000, peakRssBytes: peakRssBytes() };
process.stdout.write(`${JSON.stringify(report)}\n`);
process.exit(0);
