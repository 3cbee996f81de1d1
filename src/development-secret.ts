/** The webhook secret of a machine without one: made once, kept in `.layercode/webhook-secret` for the tools that sign. */
import { randomBytes } from 'node:crypto';
import {
  chmodSync, closeSync, constants, fstatSync, linkSync, lstatSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync,
  type Stats,
} from 'node:fs';
import { join } from 'node:path';

export interface DevelopmentSecret {
  readonly secret: string;
  /** Where tools find it. Undefined when it could not be stored: then only this process knows it. */
  readonly file: string | undefined;
  readonly isNew: boolean;
}

/**
 * The stored secret of `directory`, or a new one of 32 random bytes, stored with mode 0600. A stored file is believed
 * only if nobody else could have written or read it; otherwise it is replaced. Never throws: where nothing can be
 * written (a read-only root) the secret lives in memory only. Not for production.
 */
export function openDevelopmentSecret(directory: string): DevelopmentSecret {
  const file = fileIn(directory);
  const stored = readDevelopmentSecret(directory);
  if (stored !== undefined) return { secret: stored, file, isNew: false };
  const secret = `whsec_${randomBytes(32).toString('base64url')}`;
  try {
    prepareFolder(folderIn(directory));
    writeSecret(directory, secret);
  } catch {
    return { secret, file: undefined, isNew: true };
  }
  // Read back: another process may have been first, and a file system without modes (FAT) leaves a file we would not believe.
  const kept = readDevelopmentSecret(directory);
  return kept === undefined ? { secret, file: undefined, isNew: true } : { secret: kept, file, isNew: kept === secret };
}

/** The secret that `openDevelopmentSecret` stored in `directory`, undefined when there is none to be believed. Changes nothing. */
export function readDevelopmentSecret(directory: string): string | undefined {
  let descriptor: number | undefined;
  try {
    if (!isOurFolder(lstatSync(folderIn(directory)))) return undefined;
    // Checked through the descriptor, so that what is checked is what is read. Without O_NONBLOCK a FIFO would hang here.
    descriptor = openSync(fileIn(directory), constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
    const stats = fstatSync(descriptor);
    if (!stats.isFile() || !isOurs(stats) || !hasNoMoreThan(0o600, stats) || stats.size > 256) return undefined;
    const secret = readFileSync(descriptor, 'utf8').trim();
    return /^whsec_[\w-]{43}$/.test(secret) ? secret : undefined;
  } catch {
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function folderIn(directory: string): string {
  return join(directory, '.layercode');
}

function fileIn(directory: string): string {
  return join(folderIn(directory), 'webhook-secret');
}

function prepareFolder(folder: string): void {
  allowExisting(() => mkdirSync(folder, { mode: 0o700 }));
  const stats = lstatSync(folder);
  if (!stats.isDirectory() || !isOurs(stats)) throw new Error(`${folder} is not a directory of this user`);
  if (!hasNoMoreThan(0o700, stats)) chmodSync(folder, 0o700);
  allowExisting(() => writeFileSync(join(folder, '.gitignore'), '*\n', { flag: 'wx' }));
}

/** Whole or not at all: a reader never sees half of it. Of two processes at once the first one wins, by `link`. */
function writeSecret(directory: string, secret: string): void {
  const file = fileIn(directory);
  const draft = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    writeFileSync(draft, `${secret}\n`, { flag: 'wx', mode: 0o600 });
    try {
      linkSync(draft, file);
    } catch {
      // What is there is not to be believed, or the file system knows no links.
      if (readDevelopmentSecret(directory) === undefined) renameSync(draft, file);
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

function allowExisting(create: () => void): void {
  try {
    create();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}

function isOurFolder(stats: Stats): boolean {
  return stats.isDirectory() && isOurs(stats) && hasNoMoreThan(0o755, stats);
}

/** Windows has neither owners nor modes; there the user's profile guards the file. */
function isOurs(stats: Stats): boolean {
  return process.geteuid === undefined || stats.uid === process.geteuid();
}

function hasNoMoreThan(mode: number, stats: Stats): boolean {
  return process.geteuid === undefined || (stats.mode & 0o777 & ~mode) === 0;
}
