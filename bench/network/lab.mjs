// Two network namespaces with a shaped link between them: tc netem over veth, or link.c over tun where the kernel has no netem. Made and removed here.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const SERVER = { space: 'fedbench-server', address: '10.77.0.1' };
export const CLIENT = { space: 'fedbench-client', address: '10.77.0.2' };
const MTU_BYTES = 1500;
/** Of IPv4 and TCP with time stamps, of what an MTU carries. */
export const PAYLOAD_SHARE = (MTU_BYTES - 20 - 32) / MTU_BYTES;
/** A router's queue: as many bytes as the link carries in so long, and the path holds. */
const QUEUE_MS = 50;
/** The kernel's own limits on socket buffers keep a fat path empty; a machine that serves one raises them likewise. */
const SYSCTLS = { 'net.ipv4.tcp_rmem': '4096 131072 134217728', 'net.ipv4.tcp_wmem': '4096 65536 134217728' };

const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
const inside = (space, ...command) =>
  execFileSync('ip', ['netns', 'exec', space, ...command], { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });

/** What is missing for a lab here, in one line; undefined where nothing is. */
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

/** One shaped link; `close` removes it. */
export async function lab({ mbit, roundTripMs, lossPercent }) {
  remove();
  for (const { space } of [SERVER, CLIENT]) ip('netns', 'add', space);
  const bitsPerSecond = mbit * 1e6;
  const queueBytes = Math.round((bitsPerSecond / 8) * ((QUEUE_MS + roundTripMs) / 1000));
  const link = lab.netem
    ? await netemLink({ mbit, roundTripMs, lossPercent, queueBytes })
    : await tunLink({ bitsPerSecond, roundTripMs, lossPercent, queueBytes });
  for (const [here, there] of [
    [SERVER, CLIENT],
    [CLIENT, SERVER],
  ]) {
    ip('-n', here.space, 'link', 'set', 'lo', 'up');
    ip('-n', here.space, 'addr', 'add', `${here.address}/32`, 'peer', there.address, 'dev', 'fed0');
    ip('-n', here.space, 'link', 'set', 'fed0', 'mtu', String(MTU_BYTES), 'txqueuelen', '10000', 'up');
    for (const [name, value] of Object.entries(SYSCTLS)) inside(here.space, 'sysctl', '-qw', `${name}=${value}`);
  }
  return {
    emulator: lab.netem ? 'tc netem' : 'link.c',
    congestion: inside(SERVER.space, 'sysctl', '-n', 'net.ipv4.tcp_congestion_control').trim(),
    async close() {
      await link.close();
      remove();
    },
  };
}

function remove() {
  for (const { space } of [SERVER, CLIENT]) spawnSync('ip', ['netns', 'del', space]);
}

async function netemLink({ mbit, roundTripMs, lossPercent, queueBytes }) {
  ip('link', 'add', 'fed0', 'netns', SERVER.space, 'type', 'veth', 'peer', 'name', 'fed0', 'netns', CLIENT.space);
  const packets = Math.ceil(queueBytes / MTU_BYTES) + 10;
  for (const { space } of [SERVER, CLIENT]) {
    // Offloads would make packets of 64 KB, and one per cent of those lost.
    spawnSync('ip', ['netns', 'exec', space, 'ethtool', '-K', 'fed0', 'tso', 'off', 'gso', 'off', 'gro', 'off']);
    const shape = ['delay', `${roundTripMs / 2}ms`, 'rate', `${mbit}mbit`, 'limit', String(packets)];
    inside(space, 'tc', 'qdisc', 'add', 'dev', 'fed0', 'root', 'netem', ...shape, ...(lossPercent > 0 ? ['loss', `${lossPercent}%`] : []));
  }
  return { close: async () => {} };
}

async function tunLink({ bitsPerSecond, roundTripMs, lossPercent, queueBytes }) {
  const folder = mkdtempSync(join(tmpdir(), 'fedstream-link-'));
  const program = join(folder, 'link');
  execFileSync('cc', ['-O2', '-o', program, fileURLToPath(new URL('link.c', import.meta.url))]);
  const args = [SERVER.space, CLIENT.space, bitsPerSecond, Math.round(roundTripMs * 500), Math.round(lossPercent * 10), queueBytes].map(
    String,
  );
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
