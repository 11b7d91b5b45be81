// An attack on a server, and the server as its attacker sees it.
import type { Connection } from '../../src/driver/driver.js';
import type { Peer } from './peer.js';

/** Schemes over which an attack is tried, if it names no others. */
export const ATTACKED_SCHEMES = ['tcp', 'tcps', 'wss', 'https', 'grpcs'] as const;

/** One attack; its `run` fails by an assertion if the server answers wrongly. */
export interface Attack {
  /** The title; it has `budget` and the name of every budget that the attack reaches. */
  readonly name: string;
  readonly schemes?: readonly string[];
  /** Matches a warning or an error that the server's log has because of the attack. */
  readonly line?: RegExp;
  /** The most warnings and errors that the attack may cause; 3 by default. */
  readonly mostLines?: number;
  run(target: Target): Promise<void>;
}

/** A line of the server's log. */
export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly site?: string;
  readonly peer?: string;
}

/** A server under attack: a process of its own, with a job of the sites `site-1`, `site-2` and `mallory`. */
export interface Target {
  readonly scheme: string;
  readonly url: string;
  readonly port: number;
  /** The run's folder. */
  readonly folder: string;
  readonly pid: number;
  /** Opens a connection on which nothing has been said. */
  connect(): Promise<Connection>;
  /** A peer with the credentials of `mallory`, or of the site that is named; it has said hello. */
  insider(site?: string): Promise<Peer>;
  log(): LogLine[];
  rssBytes(): number;
}
