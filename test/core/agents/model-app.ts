// What the tests of agents that speak with a model share: an app over real sockets, a model server
// behind it, scripted replies.

import type { TestContext } from 'node:test';

import type { Json, JsonObject } from '../../../src/base/json.ts';
import type { Agent, MessageTurn } from '../../../src/core/agents/agent.ts';
import type { Reply } from '../../../src/core/agents/agent.ts';
import type { ChatModel, ModelTool } from '../../../src/core/models/model.ts';
import type { Tool, ToolContext } from '../../../src/core/tools/tool.ts';
import type { TestEvent, TestReply } from '../../../src/kit/test-client.ts';
import {
  startModelServer,
  stream,
  type Answer,
  type ModelRequest,
  type ModelServer,
} from '../../faults/model-server.ts';
import { chunk, DONE, usageChunk } from '../../faults/wire-shapes.ts';
import {
  messageEvent, rawRequest, serve, within, type RawConnection, type Served,
} from '../../fixtures/app.ts';

export const KEY = 'sk-test-9f8e7d6c5b4a3210';

export interface ModelApp extends Served {
  /** Sends a GET to the app. */
  get(path: string): Promise<Response>;
}

/**
 * Serves an agent for the length of a test. `servers` are base URLs by provider: `openai` gets
 * `OPENAI_BASE_URL` and a key.
 */
export function serveAgent(
  t: TestContext,
  agent: Agent,
  servers: Readonly<Record<string, ModelServer>>,
  environment: Readonly<Record<string, string>> = {},
): ModelApp {
  const vendors = Object.entries(servers).flatMap(([name, { url }]) => [
    [`${name.toUpperCase()}_BASE_URL`, url],
    [`${name.toUpperCase()}_API_KEY`, KEY],
  ]);
  const served = serve(t, agent, {
    environment: { ...Object.fromEntries(vendors), ...environment },
  });
  return { ...served, get: async (path) => fetch((await served.client.origin()) + path) };
}

/** A model server for the length of a test. */
export async function modelServer(
  t: TestContext,
  ...script: readonly [Answer, ...Answer[]]
): Promise<ModelServer> {
  const server = await startModelServer(script);
  t.after(() => server.close());
  return server;
}

/** Serves an agent whose model is a server that plays OpenAI. */
export async function serveModel(
  t: TestContext,
  agent: Agent,
  script: readonly [Answer, ...Answer[]],
  environment: Readonly<Record<string, string>> = {},
): Promise<ModelApp & { readonly server: ModelServer }> {
  const server = await modelServer(t, ...script);
  return { server, ...serveAgent(t, agent, { openai: server }, environment) };
}

/** One tool call as a script writes it: its id, the tool's name, its arguments as JSON text. */
export type Call = readonly [id: string, name: string, args: string];

/** A reply that calls tools, after some text if there is any. */
export function calls(asked: readonly Call[], ...texts: readonly string[]): Answer {
  return stream(
    chunk({ role: 'assistant', content: '' }),
    ...texts.map((content) => chunk({ content })),
    ...asked.map(([id, name, args], index) =>
      chunk({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: args } }] }),
    ),
    chunk({}, 'tool_calls'),
    usageChunk(50, 20),
    DONE,
  );
}

/** A message of a prompt as it went over the wire. */
export interface WireMessage {
  readonly role: string;
  readonly content: string | null;
  readonly tool_call_id?: string;
  readonly tool_calls?: readonly {
    readonly id: string;
    readonly type: string;
    readonly function: { readonly name: string; readonly arguments: string };
  }[];
}

export function promptOf(request: ModelRequest | undefined): WireMessage[] {
  return (request?.body['messages'] ?? []) as WireMessage[];
}

/**
 * A prompt as role and text; for calls their ids, for results the call that they answer. Leaves out
 * the system message.
 */
export function outline(request: ModelRequest | undefined): (readonly unknown[])[] {
  return promptOf(request)
    .filter(({ role }) => role !== 'system')
    .map(({ role, content, tool_calls: asked, tool_call_id: id }) => [
      role,
      content,
      ...(asked === undefined ? [] : [asked.map((call) => call.id)]),
      ...(id === undefined ? [] : [id]),
    ]);
}

export function toolNames(request: ModelRequest | undefined): string[] {
  return ((request?.body['tools'] ?? []) as { readonly function: { readonly name: string } }[]).map(
    (offered) => offered.function.name,
  );
}

/** What was sent to the browser. */
export function dataOf(events: readonly TestEvent[]): Json[] {
  return events
    .filter(({ type }) => type === 'response.data')
    .map(({ content }) => content as Json);
}

/** The reply's whole text; fails when it takes too long. */
export async function spoken(reply: Promise<TestReply>): Promise<string> {
  return within(reply.then((there) => there.text()), 'the end of the reply');
}

export async function eventsOf(reply: Promise<TestReply>): Promise<TestEvent[]> {
  return within(reply.then((there) => there.events()), 'the end of the reply');
}

/** The tools an agent offers its model, to be run by hand. */
export async function toolsOf(agent: Agent): Promise<ReadonlyMap<string, Tool>> {
  let offered: readonly ModelTool[] = [];
  const model: ChatModel = {
    name: 'fake:model',
    async *stream(_messages, options) {
      offered = options.tools ?? [];
      yield { type: 'text', text: 'Yes.' };
    },
    warm: () => Promise.resolve(),
    problems: () => [],
    isUsable: () => true,
  };
  const bound = agent.bind?.({
    openModel: () => model,
    fastModel: undefined,
    slowModel: undefined,
    fillerAfterMs: 0,
  });
  const journal = {
    noteToolCalls: () => undefined,
    noteToolResult: () => undefined,
    noteUsage: () => undefined,
    sayFiller: () => undefined,
  };
  const turn = {
    history: [],
    text: 'Hi.',
    signal: new AbortController().signal,
    journal,
  } as unknown as MessageTurn;
  await bound?.onMessage(turn, { isOver: false, say: () => true } as unknown as Reply);
  return new Map(offered.map((definition) => [definition.name, definition as Tool]));
}

/** What an agent's tools share, by conversation. */
const states = new WeakMap<ReadonlyMap<string, Tool>, Map<string, unknown>>();

/**
 * Runs a tool as the tool loop does: on checked arguments, with the state of the conversation.
 * Throws what is wrong with them, or what the tool throws.
 */
export async function runTool(
  tools: ReadonlyMap<string, Tool>,
  name: string,
  args: JsonObject,
  conversationId = 'c-1',
): Promise<JsonObject> {
  const found = tools.get(name);
  if (found === undefined) throw new Error(`no tool ${name}`);
  const checked = await found.check(args);
  if ('problem' in checked) throw new Error(checked.problem);
  const shared = states.get(tools) ?? new Map<string, unknown>();
  states.set(tools, shared);
  const state = shared.get(conversationId) ?? found.state?.create();
  shared.set(conversationId, state);
  return (await found.run(checked.args, { conversationId, state } as ToolContext)) as JsonObject;
}

/**
 * A caller who sends a request and does not wait for the reply: its headers come with its first
 * word, and `client.say` waits for them.
 */
export async function callOver(
  { client, raw }: ModelApp,
  fields: Readonly<Record<string, unknown>> = {},
): Promise<RawConnection> {
  const connection = await raw();
  connection.write(rawRequest(messageEvent({ conversation_id: client.conversationId, ...fields })));
  return connection;
}
