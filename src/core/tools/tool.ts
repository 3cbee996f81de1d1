import { checkFields, type FieldNames } from '../../base/check-fields.ts';
import type { JsonObject } from '../../base/json.ts';
import type { Logger } from '../../base/log.ts';
import {
  sentSchema, type Schema, type UntypedSchema, type ValueOf,
} from '../../base/schema/schema.ts';
import type { Caller } from '../calls/call-event.ts';
import type { Reply } from '../calls/reply.ts';
import { isToolName } from '../models/well-formed-call.ts';
import { isState, type State } from '../state/state.ts';
import { checkBySchema, checkByStandard, type ArgumentsCheck } from './tool-arguments.ts';
import type { ToolCallContext, ToolRun } from './tool-run.ts';
import {
  isStandardSchema, jsonSchemaOf, type OutputOf, type StandardSchema,
} from './tool-standard-schema.ts';

/** What a tool receives besides its arguments. */
export interface ToolContext<S = unknown> extends ToolCallContext {
  /** The same as `Turn.state` if the tool was defined with the agent's `state`, or undefined. */
  readonly state: S;
  /** The same as `Turn.caller`. */
  readonly caller: Caller | undefined;
  /** Sends data to the browser or hangs up: `reply.hangup({ say: 'Goodbye!' })`. */
  readonly reply: Reply;
  readonly conversationId: string;
  readonly turnId: string;
  readonly metadata: JsonObject;
  readonly log: Logger;
  /**
   * Stores the agent's state now, instead of with the call's result. Rejects with a `StateError` if
   * the state is not JSON or is too long, and with a `StoreError` if the store does not confirm it.
   */
  saveState(): Promise<void>;
}

/** What a `once` function receives besides the arguments. */
export type OnceContext<S = unknown> = Pick<
  ToolContext<S>,
  'state' | 'caller' | 'conversationId' | 'turnId' | 'metadata' | 'log'
>;

const TELLINGS = ['everything', 'status', 'nothing'] as const;

/** How much the caller's browser is told about a tool's calls. */
export type TellBrowser = (typeof TELLINGS)[number];

/** The arguments passed to `run`. They fit the schema. */
export type ArgumentsOf<P> = P extends StandardSchema ? OutputOf<P> : ValueOf<P>;

type AnySchema = Schema | StandardSchema | UntypedSchema;

/** A schema written in place must be a `Schema`, so that its mistakes are type errors. */
type Written<P> =
  P extends Schema | StandardSchema ? unknown : string extends keyof P ? unknown : Schema;

type Behaviour = Pick<ToolRun, 'whenInterrupted' | 'repeatable' | 'isOfTurn'>;

/** What `tool` accepts. */
export interface ToolDefinition<P extends AnySchema, S = unknown> extends Behaviour {
  /** 1–64 characters of `A-Z a-z 0-9 _ -`. */
  readonly name: string;
  /** Tells the model what the tool does and when to call it. */
  readonly description: string;
  /**
   * A schema of type `object`: JSON Schema, the `inputSchema` of an MCP server's tool, or one from
   * Zod, ArkType or Valibot.
   */
  readonly parameters: P & Written<P>;
  /**
   * The state of the agents the tool is for, made by `defineState`. Without it the tool fits every
   * agent.
   */
  readonly state?: State<S> | undefined;
  /**
   * `status` (default): `{tool, status}`. `everything`: also the arguments and the result.
   * `nothing`: no data at all.
   */
  readonly tellBrowser?: TellBrowser | undefined;
  /**
   * Makes the tool act at most once per conversation, on all processes that share the store.
   * `true`: once with the same arguments. A function: once for each text that it returns, such as
   * the number of an order. A second call gets the result of the first. A call starts only when
   * the store has confirmed it. Implies `whenInterrupted: 'finish'`. Default false.
   * docs/payments.md
   */
  readonly once?:
    boolean | ((args: ArgumentsOf<P>, context: OnceContext<NoInfer<S>>) => string) | undefined;
  /**
   * Whether `run` gets the values that placeholders of the agent's `redact` stand for, such as the
   * number for `[card 1]`. They are checked against `parameters`, too. A call with a value that
   * this process has not heard is refused: they are kept in memory only. Default false.
   * docs/redaction.md
   */
  readonly raw?: boolean | undefined;
  /**
   * Time limit of one call, in milliseconds, at most a day. Then its signal fires and the model
   * gets an error. If the tool acts once, its outcome is then unknown. Default: the turn's time.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * The returned value is sent to the model as JSON (`{"status":"ok"}` for undefined), and a
   * thrown error as an error. Return `handOver(…)` to continue the conversation with another
   * agent.
   */
  run(args: ArgumentsOf<P>, context: ToolContext<NoInfer<S>>): unknown;
}

/** A function the model may call, made by `tool`. Fits agents whose state is an `S`. */
export interface Tool<in S = unknown> extends Behaviour {
  readonly name: string;
  readonly description: string;
  /** The JSON Schema that is sent to the model. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly tellBrowser: TellBrowser;
  /** See `ToolDefinition.raw`. */
  readonly raw: boolean;
  /** Undefined if only the turn's time limits it. */
  readonly timeoutMs: number | undefined;
  /** Checks arguments and returns what `run` receives. */
  readonly check: ArgumentsCheck;
  /** Undefined if the tool fits every agent. */
  readonly state: State | undefined;
  /** Undefined if the tool may act any number of times. */
  readonly once: true | ((args: unknown, context: OnceContext<S>) => string) | undefined;
  // A property, because a method would accept tools with other states.
  readonly run: (args: unknown, context: ToolContext<S>) => unknown;
}

/** Node fires much longer timers at once. */
const DAY_MS = 86_400_000;

/** A definition may be an existing tool with other fields: `tool({ ...look, name: 'peek' })`. */
const FIELDS: FieldNames<ToolDefinition<Schema> & Tool> = {
  name: true, description: true, parameters: true, state: true, tellBrowser: true,
  whenInterrupted: true, repeatable: true, isOfTurn: true, once: true, raw: true, timeoutMs: true,
  run: true, check: 'internal',
};

/**
 * Makes a tool. Throws a `TypeError` if vendors would refuse its name, if its schema is invalid, if
 * a keyword of the schema would not be checked, or for a field that does not exist.
 */
export function tool<const P extends AnySchema, S = unknown>(
  definition: ToolDefinition<P, S>,
): Tool<S> {
  const { name, description, parameters, state, tellBrowser = 'status' } = definition;
  const { repeatable = false, isOfTurn = false, once = false, raw = false } = definition;
  const { timeoutMs } = definition;
  const { whenInterrupted = once === false ? 'abort' : 'finish' } = definition;
  if (!isToolName(name)) {
    const given = JSON.stringify(name);
    throw new TypeError(`a tool's name must be 1–64 characters of A-Z a-z 0-9 _ -, got ${given}`);
  }
  checkFields(`tool ${name}`, definition, FIELDS);
  for (const [field, given] of Object.entries({ repeatable, raw })) {
    if (typeof given === 'boolean') continue;
    throw new TypeError(`tool ${name}: ${field} must be a boolean, got ${typeof given}`);
  }
  if (timeoutMs !== undefined && !isTimeLimit(timeoutMs)) {
    const rule = `timeoutMs must be a number of milliseconds from 1 to ${DAY_MS}`;
    throw new TypeError(`tool ${name}: ${rule}, got ${String(timeoutMs)}`);
  }
  checkChoice(whenInterrupted, ['abort', 'finish'], `tool ${name}: whenInterrupted`);
  checkChoice(tellBrowser, TELLINGS, `tool ${name}: tellBrowser`);
  if (typeof once !== 'boolean' && typeof once !== 'function') {
    throw new TypeError(`tool ${name}: once must be true or a function, got ${typeof once}`);
  }
  if (once !== false && whenInterrupted === 'abort') {
    const reason = "a call that acts once must finish: leave whenInterrupted out, or say 'finish'";
    throw new TypeError(`tool ${name}: ${reason}`);
  }
  if (typeof definition.run !== 'function') {
    throw new TypeError(`tool ${name} must have a run function`);
  }
  if (state !== undefined && !isState(state)) {
    throw new TypeError(`tool ${name}: state must be made by defineState(() => ({ … }))`);
  }
  return {
    name, description, whenInterrupted, repeatable, isOfTurn, tellBrowser, raw, timeoutMs, state,
    ...argumentsFor(parameters, name),
    once: once === false ? undefined : (once as Tool<S>['once']),
    run: (args, context) => definition.run(args as ArgumentsOf<P>, context),
  };
}

function isTimeLimit(ms: unknown): boolean {
  return typeof ms === 'number' && ms >= 1 && ms <= DAY_MS;
}

function checkChoice(value: string, choices: readonly string[], place: string): void {
  if (choices.includes(value)) return;
  const listed = choices.map((choice) => `'${choice}'`).join(' or ');
  throw new TypeError(`${place} must be ${listed}, got ${JSON.stringify(value)}`);
}

function argumentsFor(parameters: AnySchema, name: string): Pick<Tool, 'parameters' | 'check'> {
  const place = `tool ${name}: parameters`;
  if (isStandardSchema(parameters)) {
    const schema = jsonSchemaOf(parameters, place);
    return { parameters: sentSchema(schema), check: checkByStandard(parameters) };
  }
  if ((parameters as Schema | null | undefined)?.type !== 'object') {
    throw new TypeError(`the parameters of tool ${name} must be a schema of type "object"`);
  }
  return { parameters: sentSchema(parameters), check: checkBySchema(parameters, place) };
}
