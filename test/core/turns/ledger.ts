// What can be seen of a talk from outside: what was posted, what agents were asked and said, and
// what came over the wire.

/** A piece of text that an agent said. */
export interface Piece {
  readonly text: string;
  readonly isFiller: boolean;
  /** What `say` returned. Undefined if the text was not said with it. */
  isTaken: boolean | undefined;
}

/** A tool call of a run. */
export interface Call {
  readonly id: string;
  /** They identify the call in all runs of its turn: no other call has the same arguments. */
  readonly args: string;
  /** What the tool returned: JSON text. Undefined until it returns. */
  result: string | undefined;
  /** Whether history must hold it, because it was begun or noted before the run was over. */
  isNoted: boolean;
  /** Whether it ended because of its signal. */
  isInterrupted: boolean;
  /** Whether its process crashed before the store answered, so that its result may be unknown. */
  mayBeLost: boolean;
}

/** One run of a turn, as its agent sees it. */
export interface Run {
  /** When the agent was asked, on the clock of `arrivedAt`. */
  readonly n: number;
  /** When its delivery arrived. */
  readonly arrivedAt: number;
  /** The id that the agent was given. */
  readonly turnId: string;
  readonly pieces: Piece[];
  readonly calls: Call[];
  hasFailed: boolean;
  /** Whether its process crashed before the run was over. */
  isDead: boolean;
  isOver(): boolean;
}

/** A request that delivers a turn, and its answer. */
export interface Delivery {
  readonly turn: TurnEntry;
  readonly arrivedAt: number;
  /** Whether the connection closed before the stream ended. */
  isCutOff(): boolean;
  /** The run that it began. Undefined if it began none. */
  run: Run | undefined;
  /** Whether its connection breaks at the first write. */
  readonly breaks: boolean;
  /** Whether it cannot have opened a record, because it joined a running turn or came too late. */
  readonly hasJoined: boolean;
  /** The reply of the turn, if that was complete when the delivery arrived. */
  readonly replayed: string | undefined;
  /** What has come over the wire so far. */
  events(): readonly { readonly type: string; readonly content?: unknown }[];
}

/** A report of the platform on how much was heard of a turn. */
export interface Cut {
  readonly arrivedAt: number;
  /** Undefined if the report does not say. */
  readonly heard: string | undefined;
  /** Whether it must have been applied: so if the message that brings it begins a turn. */
  isApplied(): boolean;
}

/** A turn: deliveries of the same id, type and words. */
export interface TurnEntry {
  readonly label: string;
  /** The platform's id. Undefined if it sent none. */
  readonly turnId: string | undefined;
  /** The caller's words. Undefined if the caller did not speak. */
  readonly words: string | undefined;
  /** Whether it leaves nothing in history: a `session.start` without an id. */
  readonly isUnkept: boolean;
  readonly deliveries: Delivery[];
  readonly runs: Run[];
  readonly cuts: Cut[];
  /** Whether its words never reached the store. */
  isLost: boolean;
  /** Whether its place in history is unknown: no message of it was stored before a crash. */
  hasNoPlace: boolean;
  /** When its process died with the record open. Until it runs again its reply is unknown. */
  diedAt: number | undefined;
  /** Its reply at the last check, if it was complete then. */
  completedText: string | undefined;
}

export interface Ledger<T extends TurnEntry = TurnEntry> {
  /** In order of arrival. */
  turns: readonly T[];
  /** Whether a step was made to fail. Any turn may then fail, whatever its agent does. */
  readonly isHarmed: boolean;
}
