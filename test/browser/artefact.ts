// What a run leaves behind to be looked at.

import { mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

const REPOSITORY = join(import.meta.dirname, '../..');

/**
 * The file that keeps a picture: `<name>.png` in the folder that the environment's ARTEFACTS names,
 * by default `artefacts` of the repository. The folder is made. A name is of `a-z0-9-`, so that it
 * is a file of that folder on every system; else a `TypeError`.
 */
export function artefact(name: string): string {
  if (!/^[a-z0-9-]+$/.test(name)) {
    throw new TypeError(`an artefact's name is of a-z, 0-9 and "-", got ${JSON.stringify(name)}`);
  }
  const file = resolve(process.env['ARTEFACTS'] || join(REPOSITORY, 'artefacts'), `${name}.png`);
  mkdirSync(dirname(file), { recursive: true });
  return file;
}
