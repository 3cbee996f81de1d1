import { dirname } from 'node:path';

/** What to do if a command cannot find one of the server's files. */
export const SAME_SETTINGS = 'use the settings and the directory of the server';

/** Why a file cannot be created, and what to do about it. `code` is the system's. */
export function reasonNotCreated(path: string, code: unknown): string {
  const folder = dirname(path);
  if (code === 'ENOENT') return `the folder ${folder} does not exist; create it`;
  if (code === 'ENOTDIR') return `${folder} is not a folder`;
  if (code === 'EACCES' || code === 'EPERM')
    return `this user cannot create files in ${folder}; change its owner, or name another folder`;
  if (code === 'EROFS') return `${folder} is on a read-only file system; mount a volume there`;
  if (code === 'ENOSPC') return 'the disk is full';
  return `it cannot be created (${String(code)})`;
}
