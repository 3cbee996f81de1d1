// What webhooks were before a tunnel's URL took their place, kept in `.layercode/webhook-url` for the case that the run is killed.

import { randomBytes } from 'node:crypto';
import {
  chmodSync, closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync, type Stats,
} from 'node:fs';
import { join } from 'node:path';

import { isObject } from '../layercode/fields.ts';

const MAX_FILE_BYTES = 65_536;

/** By agent: a directory may serve several, one after the other. */
export class ReplacedWebhooks {
  /** For messages. */
  readonly file: string;
  readonly #folder: string;

  constructor(directory: string) {
    this.#folder = join(directory, '.layercode');
    this.file = join(this.#folder, 'webhook-url');
  }

  /** The URL, null for an agent that had none; undefined when nothing is kept, or nothing to be believed. */
  get(agentId: string): string | null | undefined {
    return this.#read().get(agentId);
  }

  /** Throws the system's error where it cannot be written. */
  set(agentId: string, url: string | null): void {
    prepareFolder(this.#folder);
    this.#write(this.#read().set(agentId, url));
  }

  /** Throws the system's error where it cannot be written. */
  delete(agentId: string): void {
    const urls = this.#read();
    if (!urls.delete(agentId)) return;
    if (urls.size === 0) rmSync(this.file, { force: true });
    else this.#write(urls);
  }

  /** Believed only if nobody else could have written it: calls would go to a URL of theirs. */
  #read(): Map<string, string | null> {
    let descriptor: number | undefined;
    try {
      const folder = lstatSync(this.#folder);
      if (!folder.isDirectory() || !isOurs(folder) || !hasNoMoreThan(0o755, folder)) return new Map();
      // Checked through the descriptor, so that what is checked is what is read. Without O_NONBLOCK a FIFO would hang here.
      descriptor = openSync(this.file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
      const stats = fstatSync(descriptor);
      if (!stats.isFile() || !isOurs(stats) || !hasNoMoreThan(0o600, stats) || stats.size > MAX_FILE_BYTES) return new Map();
      const kept: unknown = JSON.parse(readFileSync(descriptor, 'utf8'));
      return new Map(Object.entries(isObject(kept) ? kept : {}).filter((entry): entry is [string, string | null] => isKeptUrl(entry[1])));
    } catch {
      return new Map(); // not there, not readable, not JSON: nothing that could be put back
    } finally {
      if (descriptor !== undefined) closeSync(descriptor);
    }
  }

  /** Whole or not at all: a run that is killed meanwhile leaves the old file or the new one. */
  #write(urls: ReadonlyMap<string, string | null>): void {
    const draft = `${this.file}.${process.pid}.${randomBytes(4).toString('hex')}`;
    try {
      writeFileSync(draft, `${JSON.stringify(Object.fromEntries(urls))}\n`, { flag: 'wx', mode: 0o600 });
      renameSync(draft, this.file);
    } finally {
      rmSync(draft, { force: true });
    }
  }
}

function isKeptUrl(value: unknown): boolean {
  return value === null || (typeof value === 'string' && /^https?:\/\/\S+$/i.test(value));
}

/** As for the development secret: of this user alone, and out of git. */
function prepareFolder(folder: string): void {
  allowExisting(() => mkdirSync(folder, { mode: 0o700 }));
  const stats = lstatSync(folder);
  if (!stats.isDirectory() || !isOurs(stats)) throw new Error(`${folder} is not a directory of this user`);
  if (!hasNoMoreThan(0o700, stats)) chmodSync(folder, 0o700);
  allowExisting(() => writeFileSync(join(folder, '.gitignore'), '*\n', { flag: 'wx' }));
}

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
