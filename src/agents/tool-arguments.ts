// Checks the arguments that a model writes for a tool.

import { andThen, toAwaitable, type Awaitable } from '../base/awaitable.ts';
import { isTooDeep } from '../base/fields.ts';
import type { JsonObject } from '../base/json.ts';
import { parseArguments as parseObject } from '../models/well-formed-call.ts';
import { Check, ruleOf, TooCostly } from '../schema/schema.ts';
import { issuesText, type StandardSchema } from './standard-schema.ts';

/** The valid arguments, or what is wrong, worded so that the model can fix it. */
export type Checked<T = unknown> = { readonly args: T } | { readonly problem: string };

export type ArgumentsCheck = (args: JsonObject) => Awaitable<Checked>;

const MAX_PROBLEM_LENGTH = 2_000;

/** Parses arguments into an object. */
export function parseArguments(json: string): Checked<JsonObject> {
  const args = parseObject(json);
  if (args === undefined) return { problem: 'the arguments are not a JSON object' };
  if (isTooDeep(args)) return { problem: 'the arguments are nested too deeply' };
  return { args: args as JsonObject };
}

/** Throws a `TypeError` if any part of the schema would not be checked. */
export function checkBySchema(schema: unknown, place: string): ArgumentsCheck {
  const rule = ruleOf(schema, place);
  return (args) => {
    try {
      const fault = rule(args, new Check());
      return fault === undefined ? { args } : problem(`arguments${fault.path} ${fault.text}`);
    } catch (error) {
      if (error instanceof TooCostly) return { problem: 'the arguments take too long to check' };
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

function problem(text: string): { readonly problem: string } {
  const isShort = text.length <= MAX_PROBLEM_LENGTH;
  return { problem: isShort ? text : `${text.slice(0, MAX_PROBLEM_LENGTH)}…` };
}
