/** A hand-over was refused: the current agent goes on speaking. Its model is told the message. */
export class HandOverError extends Error {
  override readonly name = 'HandOverError';
  readonly code:
    | 'ERR_HAND_OVER_AGENT'
    | 'ERR_HAND_OVER_STATE'
    | 'ERR_HAND_OVER_REDACT'
    | 'ERR_HAND_OVER_REPEATED';
  /** The message without a name that a model may have made up. */
  readonly loggable: string;

  constructor(code: HandOverError['code'], message: string, loggable: string = message) {
    super(message);
    this.code = code;
    this.loggable = loggable;
  }
}
