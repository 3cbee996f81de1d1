import { isObject } from '../../base/fields.ts';
import { jsonFaultOf } from '../../base/json-value.ts';
import type { ModelOptions, ToolChoice } from '../models/model.ts';
import { FIXED_FIELDS, PROVIDERS } from '../models/providers.ts';

type Options = ModelOptions & { readonly toolChoice?: ToolChoice | undefined };

const TOOL_CHOICES: readonly unknown[] = ['auto', 'none', 'required'] satisfies ToolChoice[];

/** Throws a `TypeError` for an option that no model would accept. */
export function checkModelOptions(agentName: string, options: Options): void {
  const { temperature, maxOutputTokens, reasoningEffort, toolChoice, providerOptions } = options;
  const check = (field: keyof Options, isRight: boolean, rule: string): void => {
    const value = options[field];
    if (value === undefined || isRight) return;
    throw new TypeError(`agent "${agentName}": ${field} must be ${rule}, got ${String(value)}`);
  };
  check('temperature', isBetween(temperature, 0, 2), 'a number from 0 to 2');
  const isCount = Number.isInteger(maxOutputTokens) && isBetween(maxOutputTokens, 1, Infinity);
  check('maxOutputTokens', isCount, 'a whole number of at least 1');
  const isWord = typeof reasoningEffort === 'string' && /^[a-z]+$/.test(reasoningEffort);
  check('reasoningEffort', isWord, 'a word like low');
  check('toolChoice', TOOL_CHOICES.includes(toolChoice), "'auto', 'none' or 'required'");
  if (providerOptions !== undefined) checkProviderOptions(agentName, providerOptions);
}

function isBetween(value: unknown, min: number, max: number): boolean {
  return typeof value === 'number' && value >= min && value <= max;
}

function checkProviderOptions(agentName: string, given: unknown): void {
  const place = `agent "${agentName}": providerOptions`;
  if (!isObject(given)) throw new TypeError(`${place} must be an object keyed by provider`);
  for (const [provider, fields] of Object.entries(given)) {
    if (!Object.hasOwn(PROVIDERS, provider)) {
      const known = Object.keys(PROVIDERS).join(', ');
      throw new TypeError(`${place}: unknown provider "${provider}"; known providers: ${known}`);
    }
    if (!isObject(fields)) throw new TypeError(`${place}.${provider} must be an object`);
    const fixed = Object.keys(fields).find((field) => FIXED_FIELDS.includes(field));
    if (fixed !== undefined) throw new TypeError(`${place}.${provider} cannot set ${fixed}`);
    const fault = jsonFaultOf(fields, provider, { takesToJson: false });
    if (fault !== undefined) throw new TypeError(`${place}: ${fault.path} ${fault.text}`);
  }
}
