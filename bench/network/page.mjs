// The page and the plots of bench/network.mjs.

const WIDTH = 720;
const HEIGHT = 300;
const LEFT = 56;
const BOTTOM = 50;
const COLOURS = ['#1b6ca8', '#c8553d', '#588157', '#8f5bb0', '#d19c1d', '#3d7f7a', '#9c3d6b', '#666666'];

/** One plot a rate without loss: the share of the payload by round trip, a line a driver. */
export function plotsOf(rows) {
  const plots = {};
  for (const mbit of new Set(rows.map((row) => row.mbit))) {
    const some = rows.filter((row) => row.mbit === mbit && row.lossPercent === 0);
    if (some.length > 0)
      plots[`network-${mbit}-mbit.svg`] = plot(some, `${mbit} Mbit/s without loss: share of the link's payload, later transfers`);
  }
  return plots;
}

function plot(rows, title) {
  const roundTrips = [...new Set(rows.map((row) => row.roundTripMs))].sort((a, b) => a - b);
  const x = (ms) => LEFT + ((WIDTH - LEFT - 120) * roundTrips.indexOf(ms)) / Math.max(roundTrips.length - 1, 1);
  const y = (share) => 30 + (HEIGHT - 30 - BOTTOM) * (1 - Math.min(share, 1));
  const drivers = [...new Set(rows.map((row) => row.scheme))];
  const text = (at, down, words, more = '') => `<text x="${at}" y="${down}" font-size="12" ${more}>${words}</text>`;
  const lines = drivers.map((scheme, i) => {
    const points = roundTrips
      .map((ms) => [ms, rows.find((row) => row.scheme === scheme && row.roundTripMs === ms)])
      .filter(([, row]) => row);
    const colour = COLOURS[i % COLOURS.length];
    const dots = points.map(([ms, row]) => `<circle cx="${x(ms)}" cy="${y(row.next)}" r="3.5" fill="${colour}"/>`).join('');
    const line = points.map(([ms, row]) => `${x(ms)},${y(row.next)}`).join(' ');
    return `<polyline points="${line}" fill="none" stroke="${colour}" stroke-width="2"/>${dots}${text(WIDTH - 100, 45 + 18 * i, scheme, `fill="${colour}"`)}`;
  });
  const grid = [0, 0.25, 0.5, 0.75, 1].map(
    (share) =>
      `<line x1="${LEFT}" x2="${WIDTH - 120}" y1="${y(share)}" y2="${y(share)}" stroke="#ddd"/>${text(10, y(share) + 4, `${share * 100} %`)}`,
  );
  const ticks = roundTrips.map((ms) => text(x(ms), HEIGHT - BOTTOM + 18, `${ms} ms`, 'text-anchor="middle"'));
  const label = text((WIDTH - 120) / 2, HEIGHT - 10, 'round trip', 'text-anchor="middle"');
  const body = [text(LEFT, 18, title, 'font-weight="bold"'), ...grid, ...ticks, label, ...lines].join('\n');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif"><title>${title}</title><rect width="100%" height="100%" fill="white"/>\n${body}\n</svg>\n`;
}

export function networkPage(rows, { emulator, congestion, plots, quick }) {
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const lines = rows.map((row) =>
    [
      '',
      `${row.mbit} Mbit/s`,
      `${row.roundTripMs} ms`,
      `${row.lossPercent} %`,
      row.scheme,
      `${row.megabytes.toFixed(0)} MB`,
      percent(row.first),
      percent(row.next),
      `${row.nf4Speedup.toFixed(2)} ×`,
      `${row.controlP99Ms.toFixed(0)} ms`,
      '',
    ]
      .join(' | ')
      .trim(),
  );
  return `# Networks

Transfers between two network namespaces over a shaped link, one connection each, made by \`node bench/network.mjs${quick ? ' --quick' : ''} --page docs/network.md\`.
The link was ${emulator === 'tc netem' ? 'tc netem over veth' : '`bench/network/link.c` over tun (the kernel had no tc netem)'}; TCP's congestion control was ${congestion}; packets have 1500 bytes.
Both namespaces let sockets grow to 128 MiB (\`tcp_rmem\`, \`tcp_wmem\`), as a machine on such a path should.

Payload is what TCP leaves of the link (1448 of 1500 bytes). **First** is the first transfer of a connection, with TCP's slow start; **next** is a later one, as in every round
but the first. **nf4** is how much sooner a model of that size is there when it is coded so (its size, without the time to code it). **Control** is the 99th percentile of a request and its
reply while a transfer fills the link.

What holds it back: a stream is asked for, accepted, ended and confirmed, two round trips that a short transfer feels; a chunk is a leaf of 1 MiB, and one or two of them are in front
of control (84 ms each at 100 Mbit/s), behind what the kernel has taken already. The machine had two cores, for both ends and the link.

${plots.map((name) => `![${name}](images/${name})`).join('\n\n')}

| rate | round trip | loss | driver | size | first | next | nf4 sooner | control, p99 |
|---|---|---|---|---|---|---|---|---|
${lines.join('\n')}
`;
}
