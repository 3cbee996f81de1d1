// What a caller hears if the agent has no words of its own.

/** Said when a turn fails. */
export const DEFAULT_APOLOGY = 'Sorry, something went wrong. Could you say that again?';
/** Said when a call has reached its limit, before the agent hangs up. */
export const DEFAULT_LIMIT_REACHED = 'I have to end our call here. Thank you, and goodbye.';
/** Said when a caller returns. */
export const WELCOME_BACK = 'Welcome back.';
/** Said while a model is slow to answer. */
export const DEFAULT_FILLER = 'One moment.';
