// Reads what Linux reports about a process: https://man7.org/linux/man-pages/man5/proc.5.html
import { readdirSync, readFileSync } from 'node:fs';

/** Resident memory in bytes. */
export function readRss(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kibibytes === undefined)
    throw new Error(`/proc/${pid}/status has no VmRSS: has the process ended?`);
  return Number(kibibytes) * 1024;
}

/**
 * Processor time used by the threads of a process, in milliseconds. In nanosecond precision,
 * whereas `stat` counts in steps of 10 ms.
 */
export function readCpuMs(pid: number): number {
  let nanoseconds = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const [used] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ', 1);
    nanoseconds += Number(used);
  }
  return nanoseconds / 1e6;
}

/** The process and the processes it started, such as a server's workers. */
export function readFamily(pid: number): number[] {
  const parents = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
  const children = parents.filter((other) => readParent(other) === pid);
  return [pid, ...children.flatMap(readFamily)];
}

/** Returns 0 for a process that has ended meanwhile. */
function readParent(pid: number): number {
  try {
    return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch {
    return 0;
  }
}
