// Checks the arguments that a model writes for a tool.

import { untilAborted } from '../../base/abort.ts';
import { andThen, toAwaitable, type Awaitable } from '../../base/awaitable.ts';
import { isTooDeep } from '../../base/fields.ts';
import type { JsonObject } from '../../base/json.ts';
import { CheckBudget, compileSchema, TooCostly } from '../../base/schema/schema.ts';
import { parseArguments } from '../models/well-formed-call.ts';
import { issuesText, type StandardSchema } from './tool-standard-schema.ts';

/** The valid arguments, or what is wrong, worded so that the model can fix it. */
export type Checked<T = unknown> = { readonly args: T } | { readonly problem: string };

/**
 * Checks arguments. The budget is shared by all calls of a round; without one, the check uses its
 * own.
 */
export type ArgumentsCheck = (args: JsonObject, budget?: CheckBudget) => Awaitable<Checked>;

/** Longest wait for a validator, in milliseconds. */
const MAX_CHECK_WAIT_MS = 5_000;
const MAX_PROBLEM_LENGTH = 2_000;
const TOO_LONG = { problem: 'the arguments take too long to check' };

export function parseToolArguments(json: string): Checked<JsonObject> {
  const args = parseArguments(json);
  if (args === undefined) return { problem: 'the arguments are not a JSON object' };
  if (isTooDeep(args)) return { problem: 'the arguments are nested too deeply' };
  return { args: args as JsonObject };
}

/** Throws a `TypeError` if any part of the schema would not be checked. */
export function checkBySchema(schema: unknown, place: string): ArgumentsCheck {
  const check = compileSchema(schema, place);
  return (args, budget = new CheckBudget()) => {
    try {
      const fault = check(args, budget);
      return fault === undefined ? { args } : problem(`arguments${fault.path} ${fault.text}`);
    } catch (error) {
      if (error instanceof TooCostly) return TOO_LONG;
      throw error;
    }
  };
}

export function checkByStandard({ '~standard': standard }: StandardSchema): ArgumentsCheck {
  return (args) =>
    andThen(toAwaitable(standard.validate(args)), (result) =>
      result.issues === undefined ? { args: result.value } : problem(issuesText(result.issues)),
    );
}

/**
 * The outcome of a check. A validator that does not answer within 5 s counts as a problem. Rejects
 * with the signal's reason when that fires, so that a hanging validator holds nothing up.
 */
export async function checkedInTime(
  checking: Awaitable<Checked>,
  signal: AbortSignal,
): Promise<Checked> {
  if (!(checking instanceof Promise)) return checking;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Checked>((resolve) => {
    timer = setTimeout(resolve, MAX_CHECK_WAIT_MS, TOO_LONG);
  });
  try {
    return await untilAborted(Promise.race([checking, late]), signal);
  } finally {
    clearTimeout(timer);
  }
}

function problem(text: string): { readonly problem: string } {
  const isShort = text.length <= MAX_PROBLEM_LENGTH;
  return { problem: isShort ? text : `${text.slice(0, MAX_PROBLEM_LENGTH)}…` };
}
