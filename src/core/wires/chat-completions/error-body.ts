import { orElse } from '../../../base/awaitable.ts';
import type { Handler } from '../../../base/http/compose.ts';
import type { Context } from '../../../base/http/context.ts';
import { HttpError } from '../../../base/http/errors.ts';
import { asBadRequest, EventError } from '../json-body.ts';
import { CHAT_COMPLETIONS } from './events.ts';

/**
 * A handler whose log lines name this wire, and whose errors are answered as its clients expect: an
 * object, with a type. A user's handler for the error's class comes first, as everywhere.
 */
export function withErrorBody(handler: Handler): Handler {
  return (context) => {
    belongsToWire(context);
    return orElse(() => handler(context), (error) => {
      throw asBadRequest(error);
    });
  };
}

/** Only clients of this wire ask for such a path, whichever agent precedes it. */
const OWN_PATH = /\/chat\/completions\/?$/;

/**
 * What the operator of an unknown path has probably not set. Undefined for any other path.
 * `isServed`: whether an agent has a key.
 */
export function hintForUnknown(path: string, isServed: boolean): string | undefined {
  if (OWN_PATH.test(path)) return 'no agent at this path has a key: see CHAT_COMPLETIONS_KEYS';
  if (!isServed || !/\/events\/?$/.test(path)) return undefined;
  return 'reports are off: set VAPI_WEBHOOK_SECRET or ELEVENLABS_WEBHOOK_SECRET';
}

/**
 * Like `withErrorBody`, for an error that occurs before any handler runs: an unknown path, a wrong
 * method, a shutdown.
 */
export function formErrorBody(context: Context): void {
  if (OWN_PATH.test(context.path)) belongsToWire(context);
}

function belongsToWire(context: Context): void {
  context.errorBody = errorBody;
  context.logFields['wire'] = CHAT_COMPLETIONS;
}

function errorBody(status: number, message: string, error: unknown): object {
  const { cause, code = null } = error instanceof HttpError ? error : {};
  const isOfField = cause instanceof EventError && cause.path !== '';
  const type = status < 500 ? 'invalid_request_error' : 'server_error';
  const param = isOfField ? cause.path : null;
  return { error: { message, type, param, code: cause instanceof EventError ? null : code } };
}
