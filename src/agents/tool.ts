import type { Awaitable } from '../base/awaitable.ts';
import type { Json, JsonObject } from '../layercode/fields.ts';
import type { Reply } from '../layercode/reply.ts';
import type { Logger } from '../log.ts';
import type { ToolDefinition } from '../models/model.ts';
import { SpeakableText } from '../speech/speakable.ts';
import { checkSchema, type Schema } from './tool-arguments.ts';

/** What a tool is told beside its arguments. */
export interface ToolOccasion {
  /** Fires when nobody waits for the result any more. Hand it to `fetch`. */
  readonly signal: AbortSignal;
  /** To send data to the browser, or to hang up: `reply.hangup({ say: 'Goodbye!' })`. */
  readonly reply: Reply;
  readonly conversationId: string;
  readonly metadata: JsonObject;
  readonly log: Logger;
}

/** A function that the model may call. */
export interface Tool extends ToolDefinition {
  readonly parameters: Schema;
  /** Gets arguments that fit `parameters`. What it returns goes to the model as JSON; what it throws, as an error. */
  run(args: JsonObject, occasion: ToolOccasion): Awaitable<Json | void>;
}

/** Checks a tool. Throws a `TypeError` for a name that vendors refuse, or a schema that is none or uses what is not checked. */
export function tool(definition: Tool): Tool {
  if (typeof definition.name !== 'string' || !/^[a-zA-Z0-9_-]{1,64}$/.test(definition.name)) {
    throw new TypeError(`a tool's name must be 1–64 characters of A-Z a-z 0-9 _ -, got ${JSON.stringify(definition.name)}`);
  }
  if (typeof definition.run !== 'function') throw new TypeError(`tool ${definition.name} must have a run function`);
  if ((definition.parameters as Schema | null | undefined)?.type !== 'object') throw new TypeError(`the parameters of tool ${definition.name} must be a schema of type "object"`);
  checkSchema(definition.parameters, `tool ${definition.name}: parameters`);
  return definition;
}

/** Lets the model end the call, with its goodbye as the argument so that it is said before the line goes dead. */
export const hangUp: Tool = tool({
  name: 'hang_up',
  description: 'Ends the call. Use it when the caller has said goodbye or wants nothing more.',
  parameters: {
    type: 'object',
    properties: { goodbye: { type: 'string', description: 'What to say before hanging up: one short sentence.' } },
    required: ['goodbye'],
    additionalProperties: false,
  },
  run: ({ goodbye }, { reply }) => reply.hangup({ say: speakable(String(goodbye)) }),
});

function speakable(text: string): string {
  const filter = new SpeakableText();
  return filter.push(text) + filter.flush();
}
