// Federated rounds without training, by NVFlare, Flower and FedStream: each site gives back what it
// got. The second round is measured, since the first has the start of the sites in it.
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { background, command, watchMemory } from './command.mjs';
import { programOf } from './environments.mjs';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const ROUNDS = 2;
const CODECS = ['fp32', 'u4'];

/** The turns of one repeat, each `{name, run}`; `run` resolves with rows. */
export function roundTurns({ mib, sites, work }) {
  return [
    ...CODECS.map((codec) => ({ name: `a round of FedStream, ${codec}`, run: () => ours(codec, mib, sites) })),
    { name: 'a round of NVFlare', run: () => nvflare(mib, sites, work) },
    { name: 'a round of Flower', run: () => flower(mib, sites, work) },
  ];
}

async function ours(codec, mib, sites) {
  const words = ['--mb', mib, '--sites', sites, '--rounds', ROUNDS, '--codecs', codec].map(String);
  const { stdout } = await command([process.execPath, at('../round.mjs'), ...words]);
  const { roundSeconds, totalSeconds, serverMiB, siteMiB } = JSON.parse(stdout);
  return [{ peer: 'FedStream', form: codec, mib, sites, seconds: roundSeconds.at(-1), totalSeconds, serverMiB, siteMiB }];
}

async function nvflare(mib, sites, work) {
  const folder = mkdtempSync(join(work, 'nvflare-'));
  try {
    const env = { ...process.env, PEERS_MIB: String(mib) };
    const words = ['round_job.py', folder, String(ROUNDS), String(sites)];
    const cwd = at('nvflare');
    const ran = await command([programOf('nvflare', 'python'), ...words], { cwd, env, watched: true });
    const text = ran.stdout + ran.stderr;
    const began = momentOf(text, 'Sampled clients');
    const peak = (pattern) => Math.max(...ran.processes.filter((one) => pattern.test(one.command)).map(({ peakMiB }) => peakMiB));
    const memory = { serverMiB: peak(/simulator\S* .*-c site-1,/), siteMiB: peak(/--client site-/) };
    const totalSeconds = rounded(ran.seconds);
    return [
      { peer: 'NVFlare', form: 'fp32', mib, sites, seconds: rounded(momentOf(text, 'End persist model') - began), totalSeconds, ...memory },
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The clock, in seconds, of the last line with these words. */
function momentOf(text, words) {
  const line = text.split('\n').findLast((one) => one.includes(words));
  const [, hours, minutes, seconds] = /(\d\d):(\d\d):(\d\d[,.]\d+)/.exec(line ?? '') ?? [];
  if (seconds === undefined) throw new Error(`NVFlare's log has no line with "${words}": ${text.slice(-2000)}`);
  return Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds.replace(',', '.'));
}

async function flower(mib, sites, work) {
  const folder = mkdtempSync(join(work, 'flower-'));
  const port = await freePort();
  const home = join(folder, 'home');
  mkdirSync(home);
  const address = `127.0.0.1:${port}`;
  writeFileSync(join(home, 'config.toml'), `[superlink]\ndefault = "local"\n[superlink.local]\naddress = "${address}"\ninsecure = true\n`);
  const path = `${dirname(programOf('flower', 'flwr'))}:${process.env.PATH}`;
  const env = { ...process.env, PATH: path, FLWR_HOME: home, FLWR_TELEMETRY_ENABLED: '0', FLWR_DISABLE_UPDATE_CHECK: '1' };
  const start = (name, ...words) => background([programOf('flower', name), '--insecure', ...words], { env, cwd: folder });
  const host = ['--host', '127.0.0.1', '--port'];
  const link = start('flower-superlink', ...host, String(port), '--disable-runtime-dependency-installation');
  const nodes = [];
  for (let i = 0; i < sites; i++) nodes.push(start('flower-supernode', '--superlink', address, ...host, String(await freePort())));
  const stopWatch = watchMemory([link, ...nodes].map(({ pid }) => pid));
  try {
    cpSync(at('flower'), join(folder, 'app'), { recursive: true });
    const config = `mib=${mib} rounds=${ROUNDS} sites=${sites}`;
    await listening(port);
    const ran = await command([programOf('flower', 'flwr'), 'run', '.', 'local', '--stream', '--run-config', config], {
      env,
      cwd: join(folder, 'app'),
    });
    const [, seconds] = /ROUNDS ([\d. ]+)/.exec(ran.stdout + ran.stderr + link.text()) ?? [];
    if (!seconds) throw new Error(`Flower's run printed no rounds: ${(ran.stdout + ran.stderr).slice(-2000)}`);
    const processes = stopWatch();
    const peak = (pattern) => Math.max(0, ...processes.filter((one) => pattern.test(one.command)).map(({ peakMiB }) => peakMiB));
    const memory = {
      serverMiB: peak(/flwr-serverapp/) + peak(/flower-superlink/),
      siteMiB: peak(/flwr-clientapp/) + peak(/flower-supernode/),
    };
    return [
      {
        peer: 'Flower',
        form: 'fp32',
        mib,
        sites,
        seconds: Number(seconds.trim().split(' ').at(-1)),
        totalSeconds: rounded(ran.seconds),
        ...memory,
      },
    ];
  } finally {
    stopWatch();
    await Promise.all([link, ...nodes].map(({ stop }) => stop()));
    rmSync(folder, { recursive: true, force: true });
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Waits until somebody listens at the port; throws after a minute. */
async function listening(port) {
  for (let tries = 0; tries < 600; tries++) {
    const open = await fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    );
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`Flower's SuperLink does not listen at port ${port}`);
}

const rounded = (seconds) => Number(seconds.toFixed(2));
