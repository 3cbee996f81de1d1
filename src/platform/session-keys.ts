import { randomBytes, randomUUID } from 'node:crypto';

import type { JsonObject } from '../layercode/fields.ts';

/** What a browser said when it asked for a key, and what the key is for. */
export interface SessionGrant {
  readonly agentId: string;
  readonly conversationId: string;
  /** The number that the caller is said to call from; undefined for a caller in a browser. */
  readonly fromPhoneNumber?: string | undefined;
  readonly metadata: JsonObject | undefined;
  readonly customMetadata: JsonObject | undefined;
  /** Sent along with every webhook of the session. */
  readonly customHeaders: Readonly<Record<string, string>>;
}

/** From the key's making. A socket that is open then stays open. */
export const KEY_LIFETIME_MS = 600_000;
/** Beyond it the oldest is forgotten. */
const MAX_KEYS = 1_000;

/** Keys for one conversation each, for ten minutes. */
export class SessionKeys {
  readonly #grants = new Map<string, SessionGrant & { readonly expiresAtMs: number }>();
  readonly #now: () => number;

  /** `now`: milliseconds on any clock that only goes forward. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** A key of URL-safe characters (some clients put it into a URL as it is), for a conversation that is known or a new one. */
  issue(
    grant: Omit<SessionGrant, 'conversationId'> & { readonly conversationId: string | undefined },
  ): { readonly key: string; readonly conversationId: string } {
    const key = randomBytes(32).toString('base64url');
    const conversationId = grant.conversationId ?? randomUUID();
    this.#grants.set(key, { ...grant, conversationId, expiresAtMs: this.#now() + KEY_LIFETIME_MS });
    if (this.#grants.size > MAX_KEYS) for (const oldest of this.#grants.keys()) {
      this.#grants.delete(oldest);
      break;
    }
    return { key, conversationId };
  }

  /** Undefined for a key that is unknown or too old. */
  find(key: string): SessionGrant | undefined {
    const grant = this.#grants.get(key);
    if (grant === undefined || this.#now() < grant.expiresAtMs) return grant;
    this.#grants.delete(key);
    return undefined;
  }
}
