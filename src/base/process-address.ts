// Addresses of servers that share a store.

import { randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

import { codeOf } from './thrown-values.ts';

/** Addresses of this process, which may hold several servers. */
const own = new Set<string>();

let machine: string | undefined;

/** An address that others on the same machine can look up: see `mayLive`. */
export function processAddress(): string {
  const address = `${process.pid}@${machineName()}#${randomUUID()}`;
  own.add(address);
  return address;
}

/**
 * Whether the process at that address may still be alive. False only for a process on this machine
 * whose process id is now free, or is this process's own.
 */
export function mayLive(address: string): boolean {
  const [, id, host] = /^(\d+)@(.*)#/.exec(address) ?? [];
  if (id === undefined || host !== machineName()) return true;
  const pid = Number(id);
  if (pid === process.pid) return own.has(address);
  try {
    process.kill(pid, 0); // sends nothing
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM'; // another user's process
  }
}

/**
 * Names one start of the machine, and one space of process ids: containers have their own. If the
 * kernel does not tell them, the host name.
 */
function machineName(): string {
  return (machine ??= kernelName() ?? hostname());
}

function kernelName(): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${boot}/${readlinkSync('/proc/self/ns/pid').replaceAll(/\D/g, '')}`;
  } catch {
    return undefined; // it is not Linux
  }
}
