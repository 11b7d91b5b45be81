// Makes and removes two network namespaces with a shaped link between them: tc netem over veth, or
// link.c over tun if the kernel has no netem.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The server's address in every lab. */
export const SERVER_ADDRESS = '10.77.0.1';
const CLIENT_ADDRESS = '10.77.0.2';
/** Several labs can exist at once, since each has namespaces of its own. */
let labs = 0;
const standing = new Set();
for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, () => {
    for (const remove of standing) remove();
    process.exit(130);
  });
const MTU_BYTES = 1500;
/** The payload's share of a packet of one MTU, with IPv4 and TCP with time stamps. */
export const PAYLOAD_SHARE = (MTU_BYTES - 20 - 32) / MTU_BYTES;
/** A router's queue holds the bytes that the link carries in this time, and those of the path. */
const QUEUE_MS = 50;
/**
 * The kernel's limits on socket buffers cannot fill a fast path with a long round trip; a machine
 * that serves one raises them in the same way.
 */
const SYSCTLS = {
  // A session is idle between rounds, but its path stays the same.
  'net.ipv4.tcp_slow_start_after_idle': '0',
  'net.ipv4.tcp_rmem': '4096 131072 134217728',
  'net.ipv4.tcp_wmem': '4096 65536 134217728',
};

const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
const inside = (space, ...command) =>
  execFileSync('ip', ['netns', 'exec', space, ...command], { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });

/** The machine's list of controls that new namespaces may choose; restored at the end. */
const ALLOWED = 'net.ipv4.tcp_allowed_congestion_control';
function allow(congestion) {
  const before = execFileSync('sysctl', ['-n', ALLOWED], { encoding: 'utf8' }).trim();
  if (before.split(' ').includes(congestion)) return;
  execFileSync('sysctl', ['-qw', `${ALLOWED}=${before} ${congestion}`]);
  process.once('exit', () => spawnSync('sysctl', ['-qw', `${ALLOWED}=${before}`]));
}

/** Congestion controls that this kernel has; the first is its default. */
export const congestionControls = () =>
  execFileSync('sysctl', ['-n', 'net.ipv4.tcp_congestion_control', 'net.ipv4.tcp_available_congestion_control'], {
    encoding: 'utf8',
  }).split(/\s+/);

/** One line that says what this machine lacks for a lab; undefined if nothing. */
export function missing() {
  if (process.platform !== 'linux') return 'network namespaces need Linux';
  if (process.getuid() !== 0) return 'network namespaces need root; run it as root';
  if (spawnSync('ip', ['-V']).error) return 'the command ip is missing; install iproute2';
  if (spawnSync('ip', ['netns', 'add', 'fedbench-probe']).status !== 0)
    return 'this kernel, or this container, makes no network namespaces';
  const netem =
    spawnSync('ip', ['netns', 'exec', 'fedbench-probe', 'tc', 'qdisc', 'add', 'dev', 'lo', 'root', 'netem', 'delay', '1ms']).status === 0;
  spawnSync('ip', ['netns', 'del', 'fedbench-probe']);
  lab.netem = netem;
  if (!netem && spawnSync('cc', ['--version']).error)
    return 'this kernel has no tc netem, and there is no C compiler for bench/network/link.c';
  return undefined;
}

/** Makes a shaped link between two namespaces; `close` removes it. */
export async function lab({ mbit, roundTripMs, lossPercent, congestion }) {
  if (congestion) allow(congestion);
  const name = `fedbench-${process.pid}-${labs++}`;
  const server = { space: `${name}-server`, address: SERVER_ADDRESS };
  const client = { space: `${name}-client`, address: CLIENT_ADDRESS };
  const remove = () => {
    standing.delete(remove);
    for (const { space } of [server, client]) spawnSync('ip', ['netns', 'del', space]);
  };
  standing.add(remove);
  try {
    return await between(server, client, { mbit, roundTripMs, lossPercent, congestion }, remove);
  } catch (error) {
    remove();
    throw error;
  }
}

async function between(server, client, { mbit, roundTripMs, lossPercent, congestion }, remove) {
  for (const { space } of [server, client]) ip('netns', 'add', space);
  const bitsPerSecond = mbit * 1e6;
  const queueBytes = Math.round((bitsPerSecond / 8) * ((QUEUE_MS + roundTripMs) / 1000));
  const shape = { mbit, bitsPerSecond, roundTripMs, lossPercent, queueBytes, spaces: [server.space, client.space] };
  const link = lab.netem ? await netemLink(shape) : await tunLink(shape);
  for (const [here, there] of [
    [server, client],
    [client, server],
  ]) {
    ip('-n', here.space, 'link', 'set', 'lo', 'up');
    ip('-n', here.space, 'addr', 'add', `${here.address}/32`, 'peer', there.address, 'dev', 'fed0');
    ip('-n', here.space, 'link', 'set', 'fed0', 'mtu', String(MTU_BYTES), 'txqueuelen', '10000', 'up');
    const sysctls = { ...SYSCTLS, ...(congestion ? { 'net.ipv4.tcp_congestion_control': congestion } : {}) };
    for (const [key, value] of Object.entries(sysctls)) inside(here.space, 'sysctl', '-qw', `${key}=${value}`);
  }
  return {
    server: server.space,
    client: client.space,
    emulator: lab.netem ? 'tc netem' : 'link.c',
    congestion: inside(server.space, 'sysctl', '-n', 'net.ipv4.tcp_congestion_control').trim(),
    async close() {
      await link.close();
      remove();
    },
  };
}

async function netemLink({ mbit, roundTripMs, lossPercent, queueBytes, spaces }) {
  ip('link', 'add', 'fed0', 'netns', spaces[0], 'type', 'veth', 'peer', 'name', 'fed0', 'netns', spaces[1]);
  const packets = Math.ceil(queueBytes / MTU_BYTES) + 10;
  for (const space of spaces) {
    // Offloads would make packets of 64 KB, and the loss would apply to those.
    spawnSync('ip', ['netns', 'exec', space, 'ethtool', '-K', 'fed0', 'tso', 'off', 'gso', 'off', 'gro', 'off']);
    const shape = ['delay', `${roundTripMs / 2}ms`, 'rate', `${mbit}mbit`, 'limit', String(packets)];
    inside(space, 'tc', 'qdisc', 'add', 'dev', 'fed0', 'root', 'netem', ...shape, ...(lossPercent > 0 ? ['loss', `${lossPercent}%`] : []));
  }
  return { close: async () => {} };
}

async function tunLink({ bitsPerSecond, roundTripMs, lossPercent, queueBytes, spaces }) {
  const folder = mkdtempSync(join(tmpdir(), 'fedstream-link-'));
  const program = join(folder, 'link');
  execFileSync('cc', ['-O2', '-o', program, fileURLToPath(new URL('link.c', import.meta.url))]);
  const args = [...spaces, bitsPerSecond, Math.round(roundTripMs * 500), Math.round(lossPercent * 10), queueBytes].map(String);
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  await Promise.race([
    new Promise((resolve) => child.stdout.once('data', resolve)),
    exited.then((code) => Promise.reject(new Error(`link ended (${code})`))),
  ]);
  return {
    async close() {
      child.stdin.end();
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
