// Addresses of processes that share a store, and may not be able to exchange messages.

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';

import { codeOf } from './thrown-values.ts';

/** Addresses of this process, which may hold several servers. */
const own = new Set<string>();

/** An address that others on the same machine can look up: see `mayLive`. */
export function processAddress(): string {
  const address = addressOf(process.pid);
  own.add(address);
  return address;
}

/** The same for another process of this machine. */
export function addressOf(pid: number | undefined): string {
  return `${pid ?? 0}@${hostname()}#${randomUUID()}`;
}

/**
 * Whether the process of that address may still be alive. False only for a process of this machine,
 * or of a container with the same name, whose process id is free now or is this process's own.
 */
export function mayLive(address: string): boolean {
  return isHere(address) ? livesHere(address) : true;
}

/** Whether it is a process of this machine, or of a container with the same name, that lives. */
export function livesHere(address: string): boolean {
  if (!isHere(address)) return false;
  const pid = Number.parseInt(address, 10);
  if (pid === process.pid) return own.has(address);
  if (pid === 0) return false; // it could not be started
  try {
    process.kill(pid, 0); // sends nothing
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM'; // it is another user's
  }
}

function isHere(address: string): boolean {
  const [, host] = /^\d+@(.*)#/.exec(address) ?? [];
  return host === hostname();
}
