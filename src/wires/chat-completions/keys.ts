import { hash, timingSafeEqual } from 'node:crypto';

import type { Context } from '../../http/context.ts';
import { HttpError } from '../../http/errors.ts';

/** The keys of an agent. Comparing takes the same time for every wrong key. */
export class Keys {
  readonly #digests: readonly Buffer[];

  /** Throws a `TypeError` if there is no key or an empty one: anyone could send that. */
  constructor(keys: readonly string[]) {
    if (keys.length === 0 || keys.includes('')) throw new TypeError('a key must not be empty');
    this.#digests = keys.map(digestOf);
  }

  /**
   * Throws an `HttpError` (401) unless the request carries one of the keys: as
   * `Authorization: Bearer <key>`, without `Bearer`, or in a header of its own.
   */
  check(context: Context, header = 'x-api-key'): void {
    const given = credentialsOf(context, header);
    const digest = given === undefined ? undefined : digestOf(given);
    let isRight = false;
    for (const known of this.#digests) {
      if (digest !== undefined && timingSafeEqual(digest, known)) isRight = true;
    }
    if (isRight) return;
    context.logFields['hint'] = given === undefined
      ? `no Authorization and no ${header} header`
      : 'unknown key';
    throw new HttpError(401, 'Incorrect API key provided', { code: 'invalid_api_key' });
  }
}

/** Whether the request has credentials of this wire, right or wrong. */
export function hasCredentials(context: Context): boolean {
  return credentialsOf(context, 'x-api-key') !== undefined;
}

function credentialsOf(context: Context, header: string): string | undefined {
  const authorization = context.header('authorization');
  if (!authorization) return context.header(header);
  return /^bearer +/i.test(authorization) ? authorization.replace(/^bearer +/i, '') : authorization;
}

function digestOf(text: string): Buffer {
  return Buffer.from(hash('sha256', text, 'hex'), 'hex');
}
