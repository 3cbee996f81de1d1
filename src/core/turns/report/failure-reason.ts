import type { TurnFailure, TurnFailureReason } from '../../agents/agent.ts';

/** A turn has taken too long: to its end, or to its `first word`. */
export class TurnTimeout extends Error {
  override readonly name = 'TurnTimeout';
  readonly code = 'ERR_TURN_TIMEOUT';
  readonly limit: 'turn' | 'first word';

  constructor(limit: TurnTimeout['limit'], ms: number) {
    super(
      limit === 'turn'
        ? `the turn took longer than ${ms} ms`
        : `nothing was spoken for ${ms} ms`,
    );
    this.limit = limit;
  }
}

/** A turn has said more than a reply may hold. */
export class ReplyTooLong extends RangeError {
  override readonly name = 'ReplyTooLong';
  readonly code = 'ERR_REPLY_TOO_LONG';
}

/** Errors by their names, because users' own models and stores throw them too. */
const BY_NAME: Readonly<Record<string, TurnFailureReason>> = {
  ModelError: 'model', StoreError: 'store',
};
/** How many causes of an error are looked at. */
const MOST_CAUSES = 5;

/** Why a turn failed. `agent` if it is none of the others: something in the agent's own code. */
export function failureReasonOf(error: unknown): TurnFailureReason {
  return failureOf(error).reason;
}

/** Why a turn failed, for its apology. */
export function failureOf(error: unknown): TurnFailure {
  if (error instanceof TurnTimeout)
    return because(error.limit === 'turn' ? 'turn_timeout' : 'first_word_timeout', error);
  if (error instanceof ReplyTooLong) return because('reply_too_long', error);
  let cause = error;
  for (let depth = 0; depth < MOST_CAUSES && cause instanceof Error; depth++) {
    const reason = Object.hasOwn(BY_NAME, cause.name) ? BY_NAME[cause.name] : undefined;
    if (reason !== undefined) return because(reason, error, cause);
    cause = cause.cause;
  }
  return because('agent', error);
}

function because(reason: TurnFailureReason, error: unknown, cause = error): TurnFailure {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  return { reason, code: typeof code === 'string' ? code : undefined, error };
}
