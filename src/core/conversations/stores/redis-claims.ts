// Claims of tools that act once, in a Redis that must not forget them: with replicas, or with its
// append-only file on the disk. Governed by https://redis.io/docs/latest/commands/wait/ and
// /waitaof/.

import { messageOf } from '../../../base/thrown-values.ts';
import { UnsafeClaim } from '../store.ts';
import type { OnceClaims } from './once-claims.ts';
import type { RedisConnection } from './redis-connection.ts';

/** A connection of its own: while the server waits, it answers nothing else on it. */
type ClaimsConnection = Pick<RedisConnection, 'command'>;

const UNSAFE_NOW = 'the claim is not as safe as ONCE_CLAIMS requires';

/** By default a server flushes its file to the disk once a second. */
const REPLICATED_MS = 400;
const ON_DISK_MS = 1_500;

interface ClaimAnswer {
  /** The answer to the command. */
  readonly answer: unknown;
  /** Throws an `UnsafeClaim` if the script's write is not as safe as it must be. */
  confirm(): void;
}

interface Waiting {
  readonly command: string[];
  readonly onSent: (() => void) | undefined;
  readonly resolve: (answer: ClaimAnswer) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Scripts that claim, followed by one `WAIT` or `WAITAOF`. Scripts that come during the wait go out
 * together. A wait covers only what its own connection wrote, so a script that is sent again must
 * write again.
 */
export class RedisClaims {
  readonly #connection: ClaimsConnection;
  readonly #safety: OnceClaims;
  /** How long the server may wait for its replicas or its disk. */
  readonly waitMs: number;
  #waiting: Waiting[] = [];
  #isSending = false;

  constructor(connection: ClaimsConnection, safety: OnceClaims) {
    this.#connection = connection;
    this.#safety = safety;
    this.waitMs = safety.isOnDisk ? ON_DISK_MS : REPLICATED_MS;
  }

  /** Why the server cannot confirm claims now. Undefined: it can. */
  async refusal(): Promise<string | undefined> {
    const { replicas, isOnDisk } = this.#safety;
    const copies = replicas === 1 ? 'a replica' : `at least ${replicas} replicas`;
    const needs = isOnDisk ? 'an append-only file' : copies;
    const needed = `ONCE_CLAIMS needs a Redis with ${needs}`;
    try {
      const wait = this.#wait();
      const found = await this.#connection.command(wait);
      if (this.#isSafe(found)) return undefined;
      return `${needed}: ${wait[0]} returned ${String(found)}`;
    } catch (error) {
      return `${needed}: ${messageOf(error)}`;
    }
  }

  /**
   * Commands that are written in one tick go out together, in order. `onSent` is called when they
   * do. Rejects if the command failed.
   */
  write(command: string[], onSent?: () => void): Promise<ClaimAnswer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ command, onSent, resolve, reject });
      if (this.#isSending) return;
      this.#isSending = true;
      setImmediate(() => void this.#send());
    });
  }

  async #send(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      for (const { onSent } of batch) onSent?.();
      const send = (command: string[]): Promise<unknown> => this.#connection.command(command);
      const [answers, [waited]] = await Promise.all([
        Promise.allSettled(batch.map(({ command }) => send(command))),
        Promise.allSettled([send(this.#wait())]),
      ]);
      for (const [index, { resolve, reject }] of batch.entries()) {
        const answer = answers[index];
        if (answer?.status !== 'fulfilled') reject(answer?.reason);
        else resolve({ answer: answer.value, confirm: () => this.#confirm(waited) });
      }
    }
    this.#isSending = false;
  }

  #wait(): string[] {
    const { replicas, isOnDisk } = this.#safety;
    return isOnDisk
      ? ['WAITAOF', '1', '0', String(this.waitMs)]
      : ['WAIT', String(replicas), String(this.waitMs)];
  }

  /** Without an answer to the wait, the script has written all the same. */
  #confirm(waited: PromiseSettledResult<unknown>): void {
    if (waited.status === 'rejected') throw new UnsafeClaim(UNSAFE_NOW, { cause: waited.reason });
    if (!this.#isSafe(waited.value)) throw new UnsafeClaim(UNSAFE_NOW);
  }

  /** `WAIT` returns a count of replicas; `WAITAOF` counts of disks: the server's, the replicas'. */
  #isSafe(waited: unknown): boolean {
    const { replicas, isOnDisk } = this.#safety;
    const [here]: unknown[] = Array.isArray(waited) ? waited : [waited];
    return Number(here) >= (isOnDisk ? 1 : replicas);
  }
}
