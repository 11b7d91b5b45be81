// The tables of docs/performance.md about the peers, made of measured rows.
import { wrap } from '../evidence/prose.mjs';

const SCALES = ['full', 'small'];
const MODES = ['regular', 'container', 'file'];
const CODECS = ['fp16', 'blockwise8', 'nf4', 'fp4'];
const FORMS = {
  whole: 'as its example',
  lean: 'from file to file, no dictionary',
};

/** All tables in Markdown; each from the largest scale that was measured. */
export function tablesOf(rows) {
  const sections = [transfers, rounds, codecs, filters].flatMap((make) => {
    const found = ofLargest(rows, make.name);
    return found.length > 0 ? [make(found, rows)] : [];
  });
  return sections.length > 0 ? sections.join('\n\n') : 'The tree has no rows of it yet; the command measures them.';
}

function transfers(rows, all) {
  const [{ mib }] = rows;
  const lines = MODES.flatMap((mode) => {
    const of = rows.filter((row) => row.mode === mode);
    return grouped(of, ({ peer, form }) => `${peer}, ${FORMS[form] ?? form}`).map(([, found]) => {
      const [{ peer, form, senderMiB }] = found;
      const memory = senderMiB === undefined ? '' : span(found.map((row) => row.senderMiB + row.receiverMiB));
      const parts =
        senderMiB === undefined ? '' : `${span(found.map((row) => row.senderMiB))} + ${span(found.map((row) => row.receiverMiB))}`;
      return [mode, peer, FORMS[form] ?? form, span(found.map(({ seconds }) => seconds)), memory, parts];
    });
  });
  return [
    `### A model of ${grouping(mib)} MiB from one process to another`,
    wrap(about(rows, all, 'transfers')),
    table(['mode', 'by', 'form', 'seconds', 'peak MiB, both', 'sender + receiver'], lines),
  ].join('\n\n');
}

function rounds(rows, all) {
  const [{ mib, sites }] = rows;
  const lines = grouped(rows, ({ peer, form }) => `${peer} ${form}`).map(([, found]) => {
    const [{ peer, form }] = found;
    const of = (name) => span(found.map((row) => row[name]));
    return [peer, form, of('seconds'), of('totalSeconds'), of('serverMiB'), of('siteMiB')];
  });
  return [
    `### A round of ${grouping(mib)} MiB and ${sites} sites, without training`,
    wrap(about(rows, all, 'rounds')),
    table(['by', 'coding', 'round, seconds', 'two rounds and the start', 'server, peak MiB', 'a site, peak MiB'], lines),
  ].join('\n\n');
}

function codecs(rows, all) {
  const [{ mib }] = rows;
  const best = (peer, form, threads, name) => {
    const found = rows.filter((row) => row.peer === peer && row.form === form && row.threads === threads);
    return Math.max(0, ...found.map(({ gbps }) => gbps[name] ?? 0));
  };
  const pair = (peer, form, name) => [1, 2].map((threads) => shown(best(peer, form, threads, name))).join(' / ');
  const lines = [...CODECS.flatMap((codec) => [`${codec}.encode`, `${codec}.decode`]), 'copy'].map((name) => {
    const theirs = 'bitsandbytes, torch';
    const most = Math.max(best(theirs, 'as it is', 1, name), best(theirs, 'memory kept', 1, name));
    const ratio = (best('FedStream', 'as it is', 1, name) / most).toFixed(2);
    return [
      name.replace('.', ' '),
      pair('FedStream', 'as it is', name),
      pair(theirs, 'as it is', name),
      pair(theirs, 'memory kept', name),
      ratio,
    ];
  });
  const heads = ['', 'FedStream', 'bitsandbytes, torch', 'the same, its memory kept', 'FedStream ÷ the best of theirs, one thread'];
  return [
    `### Codecs: GB/s of float32 over ${grouping(mib)} MiB, one thread / two`,
    wrap(`${about(rows, all, 'codecs')} fp16 is torch's, the others are bitsandbytes'; the best of all repeats.`),
    table(heads, lines),
  ].join('\n\n');
}

function filters(rows, all) {
  const [{ mib }] = rows;
  const lines = CODECS.flatMap((codec) =>
    ['NVFlare', 'FedStream'].flatMap((peer) => {
      const found = rows.filter((row) => row.codec === codec && row.peer === peer);
      const of = (name) => span(found.map((row) => row[name]));
      return found.length > 0 ? [[codec, peer, of('encodeSeconds'), of('decodeSeconds'), of('moreMiB')]] : [];
    }),
  );
  return [
    `### Filters over a model of ${grouping(mib)} MiB in memory`,
    wrap(
      `${about(rows, all, 'filters')} Memory is the peak above that before the first filter: the coded message is in it. NVFlare replaces the tensors of its dictionary, so that the model is lost; FedStream keeps it, and its seconds have checksums and digest in them.`,
    ),
    table(['codec', 'by', 'encode, seconds', 'decode, seconds', 'further MiB'], lines),
  ].join('\n\n');
}

/** The machine, the versions, the load and the date, in a sentence. */
function about(rows, all, section) {
  const [{ scale, date }] = rows;
  const repeats = Math.max(...rows.map(({ repeat }) => repeat));
  const machine = all.find((row) => row.section === 'machine' && row.of === section && row.scale === scale);
  const load = span(rows.flatMap((row) => row.load));
  const names = { nvflare: 'NVFlare', flwr: 'Flower', bitsandbytes: 'bitsandbytes', torch: 'torch', node: 'Node' };
  const versions = Object.entries(names).flatMap(([name, shownName]) => {
    const version = machine?.versions?.[name];
    return version ? [`${shownName} ${version}`] : [];
  });
  const where = machine ? `${machine.cores} cores (${machine.cpu}), ${machine.memoryGB} GB; ${versions.join(', ')}; ` : '';
  const turns = repeats === 1 ? 'one turn each' : `${repeats} turns each, alternating`;
  return `\`node bench/peers.mjs --scale ${scale} --only ${section}\` on ${date}: ${where}${turns}; load ${load}.`;
}

function ofLargest(rows, section) {
  const of = (scale) => rows.filter((row) => row.section === section && row.scale === scale);
  return SCALES.map(of).find((found) => found.length > 0) ?? [];
}

function grouped(rows, keyOf) {
  const groups = new Map();
  for (const row of rows) groups.set(keyOf(row), [...(groups.get(keyOf(row)) ?? []), row]);
  return [...groups];
}

function table(heads, lines) {
  const row = (cells) => `| ${cells.join(' | ')} |`;
  return [row(heads), `|${heads.map(() => '---|').join('')}`, ...lines.map(row)].join('\n');
}

/** The least and the largest of some numbers. */
function span(numbers) {
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)].map(shown);
  return least === most ? least : `${least} to ${most}`;
}

const shown = (number) => (number >= 100 ? grouping(Math.round(number)) : String(Number(number.toFixed(number < 10 ? 2 : 1))));
const grouping = (number) => number.toLocaleString('en-US');
