import { randomBytes } from 'node:crypto';

import { BoundedMap } from '../../base/bounded-map.ts';
import type { JsonObject } from '../../base/json.ts';
import type { ProfileName } from '../../core/wires/chat-completions/profiles.ts';

/** What a key is for, as the browser said when it requested the key. */
export interface SessionGrant {
  readonly agentId: string;
  readonly conversationId: string;
  /** The number the caller appears to call from. Undefined for a caller in a browser. */
  readonly fromPhoneNumber?: string | undefined;
  readonly metadata: JsonObject | undefined;
  readonly customMetadata: JsonObject | undefined;
  /** Sent with every webhook of the session. */
  readonly customHeaders: Readonly<Record<string, string>>;
  /** Whose Chat Completions the session speaks. Undefined: LayerCode's wire. */
  readonly profile?: ProfileName | undefined;
}

/** Counted from the moment the key is issued. A socket that is open when it expires stays open. */
export const KEY_LIFETIME_MS = 600_000;
/** Beyond this the oldest key is forgotten. */
const MAX_KEYS = 1_000;

type KeptGrant = SessionGrant & { readonly expiresAtMs: number };

/** Keys that are valid for one conversation each, for ten minutes. */
export class SessionKeys {
  readonly #grants = new BoundedMap<string, KeptGrant>(MAX_KEYS);

  /** Returns a key that is URL-safe: some clients put it into a URL unencoded. */
  issue(grant: SessionGrant): string {
    const key = randomBytes(32).toString('base64url');
    this.#grants.set(key, { ...grant, expiresAtMs: performance.now() + KEY_LIFETIME_MS });
    return key;
  }

  /** Undefined for a key that is unknown or has expired. */
  find(key: string): SessionGrant | undefined {
    const grant = this.#grants.get(key);
    if (grant === undefined || performance.now() < grant.expiresAtMs) return grant;
    this.#grants.delete(key);
    return undefined;
  }
}
