// How a name with addresses of IPv6 and IPv4 is connected to: one after the other, until one answers.

/**
 * Options of a new socket. Node gives each address 250 ms by default, too little for a path with a
 * long round trip: with several addresses, none would ever be reached.
 */
export const BOTH_FAMILIES = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 2_000 } as const;
