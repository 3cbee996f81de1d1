/**
 * The webhook secret of a machine without one: made once, kept in `.layercode/webhook-secret` for
 * the tools that sign.
 */
import { randomBytes } from 'node:crypto';
import { linkSync, renameSync, rmSync, writeFileSync } from 'node:fs';

import { preparePrivateFolder, privateFile, readPrivateFile } from './private-files.ts';

const NAME = 'webhook-secret';
const MAX_FILE_BYTES = 256;

export interface DevelopmentSecret {
  readonly secret: string;
  /**
   * Where tools find it. Undefined when it could not be stored: then only this process knows it.
   */
  readonly file: string | undefined;
  readonly isNew: boolean;
}

/**
 * The stored secret of `directory`, or a new one of 32 random bytes, stored with mode 0600. A
 * stored file is believed only if nobody else could have written or read it; otherwise it is
 * replaced. Never throws: where nothing can be written (a read-only root) the secret lives in
 * memory only. Not for production.
 */
export function openDevelopmentSecret(directory: string): DevelopmentSecret {
  const file = privateFile(directory, NAME);
  const stored = readDevelopmentSecret(directory);
  if (stored !== undefined) return { secret: stored, file, isNew: false };
  const secret = `whsec_${randomBytes(32).toString('base64url')}`;
  try {
    preparePrivateFolder(directory);
    writeSecret(directory, secret);
  } catch {
    return { secret, file: undefined, isNew: true };
  }
  // Read back: another process may have been first, and a file system without modes (FAT) leaves a
  // file we would not believe.
  const kept = readDevelopmentSecret(directory);
  return kept === undefined
    ? { secret, file: undefined, isNew: true }
    : { secret: kept, file, isNew: kept === secret };
}

/**
 * The secret that `openDevelopmentSecret` stored in `directory`, undefined when there is none to
 * be believed. Changes nothing.
 */
export function readDevelopmentSecret(directory: string): string | undefined {
  const secret = readPrivateFile(directory, NAME, MAX_FILE_BYTES)?.trim() ?? '';
  return /^whsec_[\w-]{43}$/.test(secret) ? secret : undefined;
}

/**
 * Whole or not at all: a reader never sees half of it. Of two processes at once the first one
 * wins, by `link`.
 */
function writeSecret(directory: string, secret: string): void {
  const file = privateFile(directory, NAME);
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
