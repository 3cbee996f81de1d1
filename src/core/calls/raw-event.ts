/**
 * What platforms post, by wire and by what it means here. Empty on purpose: nothing here knows a
 * wire, so each wire adds its own events by declaration merging. An agent's `turn.event` then has
 * the types of all wires that the package serves.
 */
export interface RawEvents {}

/** An event as a platform posted it, by its meaning: `start`, `message`, `data`, and so on. */
export type RawEvent<K extends string> = RawEventOf<RawEvents[keyof RawEvents], K>;

type RawEventOf<Wire, K extends string> = Wire extends Readonly<Record<K, infer E>> ? E : never;
