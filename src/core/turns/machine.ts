// The states of one run of a turn, and what follows when something happens to it. Pure: it knows of
// no socket, store, timer or agent. `RunningTurn` performs what it says.
//
// A voice that is cut off after its turn was settled is not in this table: the next message says
// so, and the conversation's record of the turn is cut (`CutTurn` in core/conversations/heard.ts).

/** How a run ends. */
export type Ending = 'completed' | 'failed' | 'interrupted';

/**
 * - `opening`: the store is opening its record. The agent has not been asked yet.
 * - `failed early`, `cut early`: it has ended, and its caller has been answered, but the store has
 *   not opened its record yet. If the store fails to open it, nothing follows, and history has
 *   nothing of the run.
 * - `speaking`: the agent has been asked.
 * - `storing`: the reply is complete, and its record is settled before the last event leaves.
 * - `storing a failure`: the same with an apology.
 * - `leaving`: the reply is complete, and its last bytes have not left this process.
 * - `settled`: nothing is left to be done. Nothing that its agent does has any effect.
 */
export const RUN_STATES = [
  'opening', 'failed early', 'cut early', 'speaking', 'storing', 'storing a failure', 'leaving',
  'settled',
] as const;
export type RunState = (typeof RUN_STATES)[number];

/**
 * - `opened`: its record is open. `not opened`: the turn was over before the store could begin.
 * - `runs elsewhere`: other processes, if alive, are running turns or tool calls of the
 *   conversation.
 * - `stale`: a newer turn was opened meanwhile. `replayed`: the turn had completed before.
 * - `handed over`: the agent has ended, and another one continues.
 * - `completed`: the agent has said everything, or has ended the turn.
 * - `failed`: the store, the agent or a tool, a time limit, or a reply that is too long.
 * - `interrupted`: a newer turn, a dropped connection, the platform, or a shutdown.
 * - `taken over`: another process runs the turn from now on.
 * - `delivered again`: the same turn arrived once more.
 * - `stored`: the record is settled, or the store took too long.
 * - `must leave`: the next event of the conversation has arrived.
 * - `left`: the last byte has left this process.
 */
export const HAPPENINGS = [
  'opened', 'not opened', 'runs elsewhere', 'stale', 'replayed', 'handed over', 'completed',
  'failed', 'interrupted', 'taken over', 'delivered again', 'stored', 'must leave', 'left',
] as const;
export type Happening = (typeof HAPPENINGS)[number];

/**
 * How a stream ends. `with others`: the reply is complete, and what is left of it may depart a
 * moment later, with other replies. `cut short`: now, and it is not complete.
 */
export type StreamEnd = 'now' | 'with others' | 'cut short';

/**
 * What is to be done, in this order.
 *
 * - `end the stream`: if all of it has left, `left` follows at once.
 * - `settle`: stores what was said, unless that has been done, and reports the outcome. `as it
 *   left`: completed if all of the reply has left this process, and interrupted otherwise.
 * - `settle late`: stores it in a record that was opened, or got a place, after the turn had ended.
 * - `end unstored`: ends the stream of a run that stores nothing.
 */
export type Effect =
  | { readonly do: 'interrupt older turns' | 'take the record' | 'ask the agent' }
  | { readonly do: 'ask who lives' | 'let the next agent speak' }
  | { readonly do: 'apologise' | 'log a lost turn' | 'log a late failure' }
  | { readonly do: 'send what was sent' | 'pass the stream on' }
  | { readonly do: 'end the stream'; readonly when: StreamEnd }
  | { readonly do: 'store first'; readonly as: 'completed' | 'failed' }
  | { readonly do: 'settle'; readonly as: Ending | 'as it left' }
  | { readonly do: 'settle late'; readonly as: 'failed' | 'interrupted' }
  | { readonly do: 'end unstored'; readonly as: 'stale' | 'replayed' | 'taken over' }
  | { readonly do: 'stop the agent'; readonly as: Ending | 'taken over' };

/** What follows: the next state, and the effects there. */
export interface Move {
  readonly to: RunState;
  readonly effects: readonly Effect[];
}

function to(state: RunState, ...effects: readonly Effect[]): Move {
  return { to: state, effects };
}

const interruptOlder: Effect = { do: 'interrupt older turns' };
const takeRecord: Effect = { do: 'take the record' };
const passOn: Effect = { do: 'pass the stream on' };
const apologise: Effect = { do: 'apologise' };
const endNow: Effect = { do: 'end the stream', when: 'now' };
const endWithOthers: Effect = { do: 'end the stream', when: 'with others' };
const cutShort: Effect = { do: 'end the stream', when: 'cut short' };

function settle(as: Ending | 'as it left'): Effect {
  return { do: 'settle', as };
}

function stopAgent(as: Ending | 'taken over'): Effect {
  return { do: 'stop the agent', as };
}

type Moves = Readonly<Partial<Record<Happening, Move>>>;

const takenOver: Move = to('settled', { do: 'end unstored', as: 'taken over' });
const lateFailure: Effect = { do: 'log a late failure' };

/**
 * Ended before its record was open: the caller has been answered, and only the record is missing.
 */
function endedEarly(state: RunState, as: 'failed' | 'interrupted'): Moves {
  const settleLate: Effect = { do: 'settle late', as };
  return {
    opened: to('settled', interruptOlder, takeRecord, settleLate),
    'not opened': to('settled', interruptOlder, settleLate),
    'runs elsewhere': to(state, { do: 'ask who lives' }),
    stale: to('settled'),
    replayed: to('settled'),
    failed: to('settled', interruptOlder, { do: 'log a lost turn' }),
  };
}

/** Anything that has no entry changes nothing. */
const MOVES: Readonly<Record<RunState, Moves>> = {
  opening: {
    opened: to('speaking', interruptOlder, takeRecord, { do: 'ask the agent' }),
    'runs elsewhere': to('opening', { do: 'ask who lives' }),
    stale: to('settled', { do: 'end unstored', as: 'stale' }),
    replayed: to('settled', { do: 'send what was sent' }, { do: 'end unstored', as: 'replayed' }),
    failed: to(
      'failed early', interruptOlder, apologise, endNow, settle('failed'), stopAgent('failed'),
    ),
    interrupted: to('cut early', cutShort, settle('interrupted'), stopAgent('interrupted')),
    'taken over': takenOver,
    'delivered again': to('opening', passOn),
  },
  'failed early': endedEarly('failed early', 'failed'),
  'cut early': endedEarly('cut early', 'interrupted'),
  speaking: {
    'handed over': to('speaking', { do: 'let the next agent speak' }),
    completed: to('leaving', endWithOthers, stopAgent('completed')),
    failed: to('settled', apologise, endNow, settle('failed'), stopAgent('failed')),
    interrupted: to('settled', cutShort, settle('interrupted'), stopAgent('interrupted')),
    'taken over': to('settled', ...takenOver.effects, stopAgent('taken over')),
    'delivered again': to('speaking', passOn),
  },
  storing: {
    stored: to('leaving', endWithOthers),
    failed: to('storing', lateFailure),
    interrupted: to('settled', settle('as it left')),
    'taken over': takenOver,
    'delivered again': to('storing', passOn),
    'must leave': to('leaving', endNow),
  },
  'storing a failure': {
    stored: to('settled', endNow, settle('failed')),
    failed: to('storing a failure', lateFailure),
    'taken over': takenOver,
    'delivered again': to('storing a failure', passOn),
  },
  leaving: {
    left: to('settled', settle('completed')),
    failed: to('leaving', lateFailure),
    interrupted: to('settled', settle('as it left')),
    'taken over': takenOver,
    'delivered again': to('leaving', passOn, endWithOthers),
    'must leave': to('leaving', endNow),
  },
  settled: {
    opened: to('settled', interruptOlder), // another process has taken it over meanwhile
    failed: to('settled', lateFailure),
  },
};

/**
 * If other processes share the conversation, what the caller has heard must be in the next prompt,
 * whichever process makes it. So the record is settled before the last event leaves.
 */
const SHARED_SPEAKING: Moves = {
  ...MOVES.speaking,
  completed: to('storing', { do: 'store first', as: 'completed' }, stopAgent('completed')),
  failed: to(
    'storing a failure', apologise, { do: 'store first', as: 'failed' }, stopAgent('failed'),
  ),
};

/** What follows. Undefined if nothing does. `isShared`: other processes share the conversation. */
export function moveFor(
  state: RunState,
  happening: Happening,
  isShared: boolean,
): Move | undefined {
  return (isShared && state === 'speaking' ? SHARED_SPEAKING : MOVES[state])[happening];
}

/** Whether the agent can do no more. */
export function isOver(state: RunState): boolean {
  return state !== 'opening' && state !== 'speaking';
}

/** Whether the run has nothing more to send its caller. Its record may still have to be opened. */
export function isAnswered(state: RunState): boolean {
  return state === 'settled' || state === 'failed early' || state === 'cut early';
}
