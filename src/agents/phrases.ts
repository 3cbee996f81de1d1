// What a caller hears where an agent has no words of its own.

/** Said when a turn fails. */
export const DEFAULT_APOLOGY = 'Sorry, something went wrong. Could you say that again?';
/** Said when a caller is back. */
export const WELCOME_BACK = 'Welcome back.';
/** Said when a model takes its time. */
export const DEFAULT_FILLER = 'One moment.';
