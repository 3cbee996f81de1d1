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

/** Why turns fail, as far as it helps to look in the right place. */
type FailureReason =
  | 'model' | 'first_word_timeout' | 'turn_timeout' | 'store' | 'reply_too_long' | 'agent';

/** Errors by their names, as users' own models and stores throw them too. */
const BY_NAME: Readonly<Record<string, FailureReason>> = {
  ModelError: 'model', StoreError: 'store',
};
/** How many causes of an error are looked at. */
const MOST_CAUSES = 5;

/** Why a turn failed. `agent` if it is none of the others: something in the agent's own code. */
export function failureReasonOf(error: unknown): FailureReason {
  if (error instanceof TurnTimeout)
    return error.limit === 'turn' ? 'turn_timeout' : 'first_word_timeout';
  if (error instanceof ReplyTooLong) return 'reply_too_long';
  let cause = error;
  for (let depth = 0; depth < MOST_CAUSES && cause instanceof Error; depth++) {
    const reason = Object.hasOwn(BY_NAME, cause.name) ? BY_NAME[cause.name] : undefined;
    if (reason !== undefined) return reason;
    cause = cause.cause;
  }
  return 'agent';
}
