// Attacks on listeners: connections that never become sessions, and pages of the web.
import type { Attack } from '../attack.js';

export const listenersAttacks: readonly Attack[] = [];
