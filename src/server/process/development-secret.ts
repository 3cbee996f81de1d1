// The webhook secret for a machine that was given none. Created once, and kept in
// `.layercode/webhook-secret` for the tools that sign.

import { randomBytes } from 'node:crypto';
import { linkSync, renameSync } from 'node:fs';

import { privateFile, readPrivateFile, writePrivateFile } from './private-files.ts';

const NAME = 'webhook-secret';
const MAX_FILE_BYTES = 256;

export interface DevelopmentSecret {
  readonly secret: string;
  /**
   * The file where tools find the secret. Undefined if it could not be stored: then only this
   * process knows the secret.
   */
  readonly file: string | undefined;
  readonly isNew: boolean;
}

/**
 * The stored secret of `directory`, or a new one of 32 random bytes, stored with mode 0600. A
 * stored file is trusted only if nobody else could have read or written it. Otherwise it is
 * replaced.
 *
 * Never throws: if nothing can be written, as on a read-only root, the secret lives in memory. Not
 * for production.
 */
export function openDevelopmentSecret(directory: string): DevelopmentSecret {
  const file = privateFile(directory, NAME);
  const stored = readDevelopmentSecret(directory);
  if (stored !== undefined) return { secret: stored, file, isNew: false };
  const secret = `whsec_${randomBytes(32).toString('base64url')}`;
  try {
    writeSecret(directory, secret);
  } catch {
    return { secret, file: undefined, isNew: true };
  }
  // Read it back: another process may have been first, and a file system without modes (FAT)
  // leaves a file that we would not trust.
  const kept = readDevelopmentSecret(directory);
  return kept === undefined
    ? { secret, file: undefined, isNew: true }
    : { secret: kept, file, isNew: kept === secret };
}

/**
 * The secret that `openDevelopmentSecret` stored in `directory`; undefined if there is none that
 * can be trusted. Changes nothing.
 */
export function readDevelopmentSecret(directory: string): string | undefined {
  const secret = readPrivateFile(directory, NAME, MAX_FILE_BYTES)?.trim() ?? '';
  return /^whsec_[\w-]{43}$/.test(secret) ? secret : undefined;
}

/** If two processes write at once, `link` lets the first one win. */
function writeSecret(directory: string, secret: string): void {
  writePrivateFile(directory, NAME, `${secret}\n`, (draft, file) => {
    try {
      linkSync(draft, file);
    } catch {
      // Either the existing file cannot be trusted, or the file system has no links.
      if (readDevelopmentSecret(directory) === undefined) renameSync(draft, file);
    }
  });
}
