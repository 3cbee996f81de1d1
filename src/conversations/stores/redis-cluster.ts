import { messageOf } from '../../base/thrown-values.ts';
import type { IdPage, PartsChange, PartStore, StoredConversation } from './part-store.ts';
import type { RedisConnection } from './redis-connection.ts';
import { slotOf, type SlotRange } from './redis-slots.ts';
import { isWrongType, redisKeyOf, RedisStore } from './redis-store.ts';
import { StoreError } from './store-error.ts';

/** A node that serves slots. */
export interface ClusterNode {
  /** `host:port`, as the cluster names it. */
  readonly name: string;
  readonly connection: RedisConnection;
}

/** The node that named all others. */
export interface AskedNode {
  /** Asks again. */
  slots(): Promise<readonly SlotRange[]>;
  close(): void;
}

/**
 * Conversations on all nodes of a Redis cluster, for a command that reads or erases everything.
 * Slots must not move to other nodes while it is open. Errors name the node.
 */
export class RedisCluster implements PartStore {
  readonly name = 'redis';
  readonly #nodes: readonly (ClusterNode & { readonly store: RedisStore })[];
  readonly #ranges: readonly SlotRange[];
  readonly #asked: AskedNode;
  /** Why nodes could not be listed in the current listing. */
  #failures: string[] = [];

  /** Closing the store closes the connections. */
  constructor(nodes: readonly ClusterNode[], ranges: readonly SlotRange[], asked: AskedNode) {
    this.#nodes = nodes.map((node) => ({ ...node, store: new RedisStore(node.connection) }));
    this.#ranges = ranges;
    this.#asked = asked;
  }

  read(id: string, known?: string): Promise<StoredConversation | 'unchanged' | undefined> {
    return this.#at(id, (store) => store.read(id, known));
  }

  write(id: string, change: PartsChange): Promise<true | StoredConversation | undefined> {
    return this.#at(id, (store) => store.write(id, change));
  }

  isOfOne(error: unknown): boolean {
    return isWrongType(error);
  }

  /**
   * Lists node after node, one list at a time. If some cannot be listed, it lists the others, and
   * rejects in the end with a `StoreError` that names them.
   */
  async list(prefix: string, after: string): Promise<IdPage> {
    if (after === '') this.#failures = [];
    const [index = '', cursor = ''] = after.split(' ');
    const node = this.#nodes[Number(index)];
    if (node === undefined) return this.#endList();
    const nextNode = `${Number(index) + 1} `;
    try {
      const { ids, next } = await node.store.listNode(prefix, cursor);
      return { ids, next: next === undefined ? nextNode : `${index} ${next}` };
    } catch (error) {
      this.#failures.push(reasonOf(node, error));
      return { ids: [], next: nextNode };
    }
  }

  async count(): Promise<number> {
    const counts = await Promise.all(this.#nodes.map(({ store }) => store.count()));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async keepsWriteLog(): Promise<boolean> {
    const all = await Promise.all(this.#nodes.map(({ store }) => store.keepsWriteLog()));
    return all.includes(true);
  }

  close(): void {
    for (const { connection } of this.#nodes) connection.close();
    this.#asked.close();
  }

  async #endList(): Promise<IdPage> {
    if (this.#failures.length > 0) throw new StoreError(this.#failures.join('; '));
    const now = JSON.stringify(await this.#asked.slots());
    if (now !== JSON.stringify(this.#ranges)) throw new StoreError(MOVING);
    return { ids: [], next: undefined };
  }

  #at<T>(id: string, step: (store: RedisStore) => Promise<T>): Promise<T> {
    const slot = slotOf(redisKeyOf(id));
    const range = this.#ranges.find(({ first, last }) => first <= slot && slot <= last);
    const name = range && nodeName(range);
    const node = this.#nodes.find((each) => each.name === name);
    if (node === undefined)
      return Promise.reject(new StoreError(`no node of the cluster serves slot ${slot}`));
    return step(node.store).catch((cause: unknown) => {
      if (this.isOfOne(cause)) throw cause; // the key's fault, not the node's
      throw new StoreError(reasonOf(node, cause), { cause });
    });
  }
}

/** The name of the node that serves these slots: `host:port`. */
export function nodeName({ address: { host, port } }: SlotRange): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

const MOVING = 'the cluster moves slots to other nodes; run this again when that is over';

function reasonOf({ name }: ClusterNode, error: unknown): string {
  const causes: string[] = [];
  for (let one = error; one instanceof Error; one = one.cause) causes.push(messageOf(one));
  const isMoving = causes.some((message) => /\b(MOVED|ASK|TRYAGAIN) /.test(message));
  if (isMoving) return MOVING;
  return `the node ${name} of the cluster failed: ${causes.at(-1) ?? messageOf(error)}`;
}
