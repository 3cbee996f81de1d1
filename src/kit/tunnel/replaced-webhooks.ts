// The webhooks that a tunnel replaced, kept in `.layercode/webhook-url` in case the run is killed.

import { rmSync } from 'node:fs';

import { isObject } from '../../base/fields.ts';
import { parseJson } from '../../base/json.ts';
import {
  privateFile, readPrivateFile, writePrivateFile,
} from '../../server/process/private-files.ts';

const NAME = 'webhook-url';
const MAX_FILE_BYTES = 65_536;

/** Keyed by agent: one directory may serve several, one after the other. */
export class ReplacedWebhooks {
  /** For messages. */
  readonly file: string;
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    this.file = privateFile(directory, NAME);
  }

  /**
   * The URL; null if the agent had none; undefined if nothing is kept, or nothing that can be
   * trusted.
   */
  get(agentId: string): string | null | undefined {
    return this.#read().get(agentId);
  }

  /** Throws the system's error if the file cannot be written. */
  set(agentId: string, url: string | null): void {
    this.#write(this.#read().set(agentId, url));
  }

  /** Throws the system's error if the file cannot be written. */
  delete(agentId: string): void {
    const urls = this.#read();
    if (!urls.delete(agentId)) return;
    if (urls.size === 0) rmSync(this.file, { force: true });
    else this.#write(urls);
  }

  /** The file is trusted only if nobody else could have written it: calls would go to their URL. */
  #read(): Map<string, string | null> {
    const kept: unknown = parseJson(readPrivateFile(this.#directory, NAME, MAX_FILE_BYTES) ?? '{}');
    return new Map(
      Object.entries(isObject(kept) ? kept : {}).filter(
        (entry): entry is [string, string | null] => isKeptUrl(entry[1]),
      ),
    );
  }

  #write(urls: ReadonlyMap<string, string | null>): void {
    const text = `${JSON.stringify(Object.fromEntries(urls))}\n`;
    writePrivateFile(this.#directory, NAME, text);
  }
}

function isKeptUrl(value: unknown): boolean {
  return value === null || (typeof value === 'string' && /^https?:\/\/\S+$/i.test(value));
}
