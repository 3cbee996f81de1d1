import { cpus, loadavg } from 'node:os';

export const MACHINE = `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores`;

export function formatLoad(): string {
  return loadavg()
    .map((load) => load.toFixed(1))
    .join(' ');
}
