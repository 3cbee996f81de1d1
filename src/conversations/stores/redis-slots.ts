// Which node of a Redis cluster holds a key: https://redis.io/docs/latest/reference/cluster-spec/

import type { RedisAddress } from './redis-url.ts';

const SLOTS = 16_384;

/** Slots from `first` to `last`, which the node at `address` serves. */
export interface SlotRange {
  readonly first: number;
  readonly last: number;
  readonly address: RedisAddress;
}

/** The slot of a key without braces, which would select a part of it. CRC-16/XMODEM. */
export function slotOf(key: string): number {
  let crc = 0;
  for (const byte of Buffer.from(key)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1)
      crc = ((crc << 1) ^ ((crc & 0x8000) === 0 ? 0 : 0x1021)) & 0xffff;
  }
  return crc % SLOTS;
}

/**
 * Reads the answer to `CLUSTER SLOTS`. `asked` is the node that answered: it may not know the name
 * under which it is reached. Throws a `TypeError` for any other answer.
 */
export function parseSlots(answer: unknown, asked: RedisAddress): readonly SlotRange[] {
  if (!Array.isArray(answer)) throw new TypeError('CLUSTER SLOTS was not answered with a list');
  return answer.map((range: unknown) => {
    const [first, last, master]: unknown[] = Array.isArray(range) ? range : [];
    const [host, port]: unknown[] = Array.isArray(master) ? master : [];
    if (typeof first !== 'number' || typeof last !== 'number' || typeof port !== 'number')
      throw new TypeError('CLUSTER SLOTS was answered with something else than ranges of slots');
    const isKnown = typeof host === 'string' && host !== '' && host !== '?';
    return { first, last, address: { host: isKnown ? host : asked.host, port } };
  });
}
