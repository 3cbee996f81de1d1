// `.layercode/` in the working directory: files that this project's tools keep for each other. Only
// this user may read them, and git ignores them.

import { randomBytes } from 'node:crypto';
import {
  chmodSync, closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, readFileSync,
  renameSync, rmSync, writeFileSync, type Stats,
} from 'node:fs';
import { join } from 'node:path';

import { codeOf } from '../../base/thrown-values.ts';

/** The path of a file in the folder, whether it exists or not. */
export function privateFile(directory: string, name: string): string {
  return join(directory, FOLDER, name);
}

/**
 * Writes a file in the folder, whole or not at all: no reader sees half of it, even if this process
 * is killed. Creates the folder, or removes other users' access to it. Throws the system's error,
 * or an error if the folder's path is not a directory owned by this user.
 *
 * `place` moves the finished draft to its path. Default: it replaces what is there.
 */
export function writePrivateFile(
  directory: string,
  name: string,
  text: string,
  place: (draft: string, file: string) => void = renameSync,
): void {
  prepareFolder(join(directory, FOLDER));
  const file = privateFile(directory, name);
  const draft = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    writeFileSync(draft, text, { flag: 'wx', mode: 0o600 });
    place(draft, file);
  } finally {
    rmSync(draft, { force: true });
  }
}

/**
 * The text of a file in the folder. Undefined if it does not exist, is longer than `maxBytes`, or
 * if somebody else could have read or written it. Changes nothing.
 */
export function readPrivateFile(
  directory: string,
  name: string,
  maxBytes: number,
): string | undefined {
  let descriptor: number | undefined;
  try {
    const folder = lstatSync(join(directory, FOLDER));
    if (!folder.isDirectory() || !isOurs(folder) || !hasNoMoreThan(0o755, folder)) return undefined;
    // The checks use the descriptor, so they are about the very file that is read. Without
    // O_NONBLOCK a FIFO would block here.
    const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;
    descriptor = openSync(privateFile(directory, name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const stats = fstatSync(descriptor);
    const isPrivate = stats.isFile() && isOurs(stats) && hasNoMoreThan(0o600, stats);
    if (!isPrivate || stats.size > maxBytes) return undefined;
    return readFileSync(descriptor, 'utf8');
  } catch {
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

const FOLDER = '.layercode';

function prepareFolder(folder: string): void {
  allowExisting(() => mkdirSync(folder, { mode: 0o700 }));
  const stats = lstatSync(folder);
  if (!stats.isDirectory() || !isOurs(stats)) {
    throw new Error(`${folder} is not a directory owned by this user`);
  }
  if (!hasNoMoreThan(0o700, stats)) chmodSync(folder, 0o700);
  allowExisting(() => writeFileSync(join(folder, '.gitignore'), '*\n', { flag: 'wx' }));
}

function allowExisting(create: () => void): void {
  try {
    create();
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

/** Windows has neither owners nor modes. There the user's profile protects the file. */
function isOurs(stats: Stats): boolean {
  return process.geteuid === undefined || stats.uid === process.geteuid();
}

function hasNoMoreThan(mode: number, stats: Stats): boolean {
  return process.geteuid === undefined || (stats.mode & 0o777 & ~mode) === 0;
}
