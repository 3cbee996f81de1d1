// What Linux tells about a process: https://man7.org/linux/man-pages/man5/proc.5.html
import { readFileSync } from 'node:fs';

/** Resident memory in bytes. */
export function readRss(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kibibytes === undefined) throw new Error(`/proc/${pid}/status has no VmRSS: has the process ended?`);
  return Number(kibibytes) * 1024;
}

/** Processor time used so far, user and system, in milliseconds; the kernel counts it in steps of 10 ms. */
export function readCpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The command's name may hold spaces and parentheses: count from the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
