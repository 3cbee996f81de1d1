// Addresses of servers that share a store and exchange no messages.

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';

import { codeOf } from './thrown-values.ts';

/** Addresses of this process, which may hold several servers. */
const own = new Set<string>();

/** An address that others on the same machine can look up: see `mayLive`. */
export function processAddress(): string {
  const address = `${process.pid}@${hostname()}#${randomUUID()}`;
  own.add(address);
  return address;
}

/**
 * Whether the process of that address may still be alive. False only for a process of this machine,
 * or of a container with the same name, whose process id is free now or is this process's own.
 */
export function mayLive(address: string): boolean {
  const [, id, host] = /^(\d+)@(.*)#/.exec(address) ?? [];
  if (id === undefined || host !== hostname()) return true;
  const pid = Number(id);
  if (pid === process.pid) return own.has(address);
  try {
    process.kill(pid, 0); // sends nothing
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM'; // it is another user's
  }
}
