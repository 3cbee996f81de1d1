import { andThen, type Awaitable } from '../../base/awaitable.ts';
import type { Handler } from '../../http/compose.ts';
import type { Context } from '../../http/context.ts';
import { HttpError } from '../../http/errors.ts';
import { EventError } from '../json-body.ts';

/** A handler whose errors are answered as clients of this wire expect: an object, with a type. */
export function withErrorBody(handler: Handler): Handler {
  return (context) => {
    const failed = (error: unknown): void => answerError(context, error);
    try {
      const answered: Awaitable<void> = andThen(handler(context), () => undefined);
      return answered instanceof Promise ? answered.catch(failed) : answered;
    } catch (error) {
      return failed(error);
    }
  };
}

function answerError(context: Context, error: unknown): void {
  if (context.isAnswered) throw error; // the app's boundary cuts the answer short
  if (error instanceof EventError)
    return answer(context, 400, error.message, error.path === '' ? null : error.path, null);
  if (!(error instanceof HttpError)) {
    context.log.error('request failed', { error });
    return answer(context, 500, 'Internal server error', null, null);
  }
  const { status, code, expose, message, headers } = error;
  const shown = expose ? message : 'Internal server error';
  answer(context, status, shown, null, code ?? null, headers);
}

function answer(
  context: Context,
  status: number,
  message: string,
  param: string | null,
  code: string | null,
  headers: readonly string[] = [],
): void {
  context.logFields['error'] = message;
  const type = status < 500 ? 'invalid_request_error' : 'server_error';
  context.json(status, { error: { message, type, param, code } }, headers);
}
