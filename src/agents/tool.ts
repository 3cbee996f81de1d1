import type { Awaitable } from '../base/awaitable.ts';
import type { Json, JsonObject } from '../layercode/fields.ts';
import type { Logger } from '../log.ts';
import type { ToolDefinition } from '../models/model.ts';
import type { Reply, ToolCallContext, ToolRun } from './agent.ts';
import { checkSchema, type Schema } from './tool-arguments.ts';
import { speakable } from './voice.ts';

/** What a tool is told beside its arguments. */
export interface ToolContext extends ToolCallContext {
  /** To send data to the browser, or to hang up: `reply.hangup({ say: 'Goodbye!' })`. */
  readonly reply: Reply;
  readonly conversationId: string;
  readonly turnId: string;
  readonly metadata: JsonObject;
  readonly log: Logger;
}

/** A function that the model may call. */
export interface Tool extends ToolDefinition, Pick<ToolRun, 'whenInterrupted' | 'repeatable'> {
  readonly parameters: Schema;
  /** Gets arguments that fit `parameters`. What it returns goes to the model as JSON; what it throws, as an error. */
  run(args: JsonObject, context: ToolContext): Awaitable<Json | void>;
}

/** Checks a tool. Throws a `TypeError` for a name that vendors refuse, or a schema that is none or uses what is not checked. */
export function tool(definition: Tool): Tool {
  if (typeof definition.name !== 'string' || !/^[a-zA-Z0-9_-]{1,64}$/.test(definition.name)) {
    throw new TypeError(`a tool's name must be 1–64 characters of A-Z a-z 0-9 _ -, got ${JSON.stringify(definition.name)}`);
  }
  const { whenInterrupted = 'abort', repeatable = false } = definition;
  if (whenInterrupted !== 'abort' && whenInterrupted !== 'finish') {
    throw new TypeError(`tool ${definition.name}: whenInterrupted must be 'abort' or 'finish', got ${JSON.stringify(whenInterrupted)}`);
  }
  if (typeof repeatable !== 'boolean') throw new TypeError(`tool ${definition.name}: repeatable must be a boolean, got ${typeof repeatable}`);
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
