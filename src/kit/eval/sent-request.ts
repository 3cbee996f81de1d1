// What models are sent, as a golden file keeps it: options, prompt, tools, and what tools returned.

import type { ChatMessage, ModelStreamOptions } from '../../core/models/model.ts';
import { optionsOf } from './model-request.ts';
import { replaceVarying } from './varying-values.ts';

const PRESENT_MS = 36 * 3_600_000; // the same day in any time zone

/**
 * A request without its messages. `model` is its name in the agent. Undefined: the model in the
 * settings.
 */
export function sentText(
  model: string | undefined,
  messages: readonly ChatMessage[],
  streamOptions: ModelStreamOptions,
): string {
  const prompts = messages.filter(({ role }) => role === 'system');
  const { tools = [] } = streamOptions;
  const blocks = [
    ...(model === undefined ? [] : [`model: ${model}`]),
    ...Object.entries(optionsOf(streamOptions))
      .filter(([name, value]) => name !== 'toolChoice' || value !== 'auto') // its default
      .map(([name, value]) => `${name}: ${JSON.stringify(value)}`),
    ...prompts.flatMap(({ content }) => ['', 'prompt:', steady(content)]),
    ...tools.flatMap(({ name, description, parameters }) => [
      '', `tool ${name}:`, steady(description), steady(JSON.stringify(parameters, undefined, 2)),
    ]),
  ];
  return blocks.join('\n').trim();
}

/** All requests of a turn: each text once, then the turn's results as the last request has them. */
export function turnText(
  sent: readonly string[],
  prompts: readonly (readonly ChatMessage[])[],
): string {
  const results = callsShown(prompts).map(({ name, args, result }) => {
    const lines = result.replaceAll('},{', '},\n{'); // a line for each entry of a list
    return `result of ${name} ${steady(args)}:\n${steady(lines)}`;
  });
  return [[...new Set(sent)].join('\n\n--- and\n\n'), ...results].join('\n\n');
}

/** The tool calls of a turn that its last request shows with their results. */
export function callsShown(prompts: readonly (readonly ChatMessage[])[]) {
  const last = prompts.at(-1) ?? [];
  const ofTurn = last.slice(last.findLastIndex(({ role }) => role === 'user') + 1);
  const calls = ofTurn.flatMap((message) => ('toolCalls' in message ? message.toolCalls : []));
  return calls.flatMap(({ id, name, args }) => {
    const result = ofTurn.find((message) => message.role === 'tool' && message.toolCallId === id);
    return result === undefined ? [] : [{ name, args, result: result.content }];
  });
}

/**
 * Text that is the same in each run: ids are left out and, in a line that names the present day,
 * all times. Other times, such as opening hours, stay. An untyped tool may lack a description.
 */
function steady(text = ''): string {
  return text.split('\n').map((line) => {
    let isPresent = false;
    replaceVarying(line, (value, kind) => {
      const ms = kind === 'time' ? Date.parse(value) : NaN;
      isPresent ||= Math.abs(ms - Date.now()) < PRESENT_MS;
      return value;
    });
    return replaceVarying(line, (value, kind) =>
      kind === 'id' ? '<id>' : kind === 'time' && isPresent ? '<time>' : value);
  }).join('\n');
}
