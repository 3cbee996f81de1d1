import { hash, timingSafeEqual } from 'node:crypto';

import type { Context } from '../../../base/http/context.ts';
import { HttpError } from '../../../base/http/errors.ts';

/** The keys of an agent. Comparing takes the same time for every wrong key. */
export class BearerKeys {
  readonly #digests: readonly Buffer[];

  /** Throws a `TypeError` if there is no key or an empty one: anyone could send that. */
  constructor(keys: readonly string[]) {
    if (keys.length === 0 || keys.includes('')) throw new TypeError('a key must not be empty');
    this.#digests = keys.map(digestOf);
  }

  /**
   * Authenticates a request that carries one of the keys: as `Authorization: Bearer <key>`, without
   * `Bearer`, or in a header of its own. Otherwise throws an `HttpError` (401). A platform may send
   * an `Authorization` that is meant for someone else, so each header is tried.
   */
  check(context: Context, header = 'x-api-key'): void {
    const given = credentialsOf(context, header);
    let isRight = false;
    for (const digest of given.map(digestOf)) {
      for (const known of this.#digests) if (timingSafeEqual(digest, known)) isRight = true;
    }
    if (isRight) return context.authenticated();
    context.logFields['hint'] = given.length === 0
      ? `no Authorization and no ${header} header`
      : 'unknown key';
    throw new HttpError(401, 'Incorrect API key provided', { code: 'invalid_api_key' });
  }
}

/** Whether the request has credentials of this wire, right or wrong. */
export function hasCredentials(context: Context): boolean {
  return credentialsOf(context, 'x-api-key').length > 0;
}

function credentialsOf(context: Context, header: string): readonly string[] {
  const authorization = context.header('authorization')?.replace(/^bearer +/i, '');
  return [authorization, context.header(header)].flatMap((given) => given || []);
}

function digestOf(text: string): Buffer {
  return Buffer.from(hash('sha256', text, 'hex'), 'hex');
}
