// What was seen of a talk from outside: who posted what, what an agent was asked and said, and what
// came over the wire.

/** A piece of text that an agent handed over. */
export interface Piece {
  readonly text: string;
  readonly isFiller: boolean;
  /** What `say` answered; undefined where the agent was not told. */
  isTaken: boolean | undefined;
}

/** A tool call of a run. */
export interface Call {
  readonly id: string;
  /** The same for the same call of every run of the turn, and for no other. */
  readonly args: string;
  /** What the tool returned, as JSON text; undefined while it has not. */
  result: string | undefined;
  /** It must stand in history: it was begun or noted before the run was over. */
  isNoted: boolean;
  /** It ended because of its signal. */
  isInterrupted: boolean;
  /** Its process crashed before the store had answered: the result may be unknown. */
  mayBeLost: boolean;
}

/** An agent at work on a turn. */
export interface Run {
  /** When it began, on the clock of `arrivedAt`. */
  readonly n: number;
  /** When the delivery arrived that began it. */
  readonly arrivedAt: number;
  /** As the agent was told. */
  readonly turnId: string;
  readonly pieces: Piece[];
  readonly calls: Call[];
  hasFailed: boolean;
  /** Its process crashed before the run was over. */
  isDead: boolean;
  isOver(): boolean;
}

/** A request for a turn, and its answer. */
export interface Delivery {
  readonly turn: TurnEntry;
  readonly arrivedAt: number;
  /** The connection closed before the stream was ended. */
  isCutOff(): boolean;
  /** The run that it began. */
  run: Run | undefined;
  /** Its connection breaks when it is first written to. */
  readonly breaks: boolean;
  /** It cannot have opened a record: it joined a turn that ran, or was too late. */
  readonly hasJoined: boolean;
  /** The complete reply that there was when it arrived. */
  readonly replayed: string | undefined;
  /** Types and texts as they came. */
  events(): readonly { readonly type: string; readonly content?: unknown }[];
}

/** The platform said that this much was heard of a turn. */
export interface Cut {
  readonly arrivedAt: number;
  /** Undefined: not known. */
  readonly heard: string | undefined;
  /** Whether it must have been applied: a message says it when it begins a turn, and only then. */
  isApplied(): boolean;
}

/** Deliveries of one id, type and words. */
export interface TurnEntry {
  readonly label: string;
  /** As the platform has it. */
  readonly turnId: string | undefined;
  /** Undefined where the caller did not speak. */
  readonly words: string | undefined;
  /** Nothing of it is kept: a start that nobody may have heard. */
  readonly isUnkept: boolean;
  readonly deliveries: Delivery[];
  readonly runs: Run[];
  readonly cuts: Cut[];
  /** Its words never reached the store. */
  isLost: boolean;
  /** Its place is not known: at a crash the store had no message of it. */
  hasNoPlace: boolean;
  /** When its process died with the record open: the reply is unknown until the turn runs anew. */
  diedAt: number | undefined;
  /** As it stood at the last look, when it was complete. */
  completedText: string | undefined;
}

export interface Ledger<T extends TurnEntry = TurnEntry> {
  /** In the order of arrival. */
  turns: readonly T[];
  /** Something was made to fail that a turn needs: it may fail with it, whatever its agent does. */
  readonly isHarmed: boolean;
}
