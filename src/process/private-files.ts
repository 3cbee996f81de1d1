/**
 * `.layercode/` of a working directory: what this project's tools keep for each other, of this
 * user alone and out of git.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import { join } from 'node:path';

/** The path of a file there, whether or not it is. */
export function privateFile(directory: string, name: string): string {
  return join(directory, FOLDER, name);
}

/**
 * Makes the folder, or closes it to others. Throws the system's error, and one for what is no
 * directory of this user.
 */
export function preparePrivateFolder(directory: string): void {
  const folder = join(directory, FOLDER);
  allowExisting(() => mkdirSync(folder, { mode: 0o700 }));
  const stats = lstatSync(folder);
  if (!stats.isDirectory() || !isOurs(stats)) {
    throw new Error(`${folder} is not a directory of this user`);
  }
  if (!hasNoMoreThan(0o700, stats)) chmodSync(folder, 0o700);
  allowExisting(() => writeFileSync(join(folder, '.gitignore'), '*\n', { flag: 'wx' }));
}

/**
 * The text of a file there; undefined when it is not there, too long, or when somebody else could
 * have written or read it. Changes nothing.
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
    // Checked through the descriptor, so that what is checked is what is read. Without O_NONBLOCK
    // a FIFO would hang here.
    descriptor = openSync(
      privateFile(directory, name),
      constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0),
    );
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

function allowExisting(create: () => void): void {
  try {
    create();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}

/** Windows has neither owners nor modes; there the user's profile guards the file. */
function isOurs(stats: Stats): boolean {
  return process.geteuid === undefined || stats.uid === process.geteuid();
}

function hasNoMoreThan(mode: number, stats: Stats): boolean {
  return process.geteuid === undefined || (stats.mode & 0o777 & ~mode) === 0;
}
