// Clients of Chat Completions as voice platforms use them: each asks for a reply and returns what
// it has read. The packages of this folder might not be installed, so the types that are needed are
// written here.

import { createRequire } from 'node:module';

import { PEERS } from '../fixtures/pages.ts';

export interface Question {
  readonly words: string;
  readonly baseURL: string;
  readonly apiKey: string;
  readonly conversationId: string;
  /** Whether the body breaks a rule. */
  readonly isDamaged?: boolean;
}

/** What a client has read of a reply. */
export interface Read {
  readonly text: string;
  readonly calls: readonly ReadCall[];
  /** Why the reply ended. Undefined if the client does not show that. */
  readonly finish: string | undefined;
  readonly tokens: readonly [prompt: number, completion: number];
}

export interface ReadCall {
  readonly name: string;
  readonly args: unknown;
}

/** The client's error for a status. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly status: number | undefined;

  constructor(status: number | undefined, message: string) {
    super(message);
    this.status = status;
  }
}

export interface Reader {
  readonly name: string;
  /** Why it cannot be tried on this machine. */
  readonly problem?: string | undefined;
  /** Asks for a reply and reads it to its end. Rejects with `Refused` for an error status. */
  read(question: Question): Promise<Read>;
}

const END_CALL = {
  name: 'end_call',
  description: 'Ends the call.',
  parameters: {
    type: 'object', properties: { reason: { type: 'string' } }, additionalProperties: false,
  },
} as const;
/** Nobody has this role. The clients pass it on. */
const DAMAGED = [{ role: 'nobody', content: 'Hello' }];

const require = createRequire(new URL('package.json', `file://${PEERS}/`));

function load<T>(name: string): T {
  return require(name) as T;
}

function headersOf({ conversationId }: Question): Record<string, string> {
  return { 'X-Conversation-Id': conversationId };
}

function messagesOf({ words, isDamaged }: Question): unknown {
  return isDamaged === true ? DAMAGED : [{ role: 'user', content: words }];
}

function parsed(name: string, args: string): ReadCall {
  return { name, args: JSON.parse(args) };
}

// The official client, `openai`.

interface CompletionCall {
  readonly function: { readonly name: string; readonly arguments: string };
}

interface CompletionTokens {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
}

interface Chunk {
  readonly choices: readonly {
    readonly delta: {
      readonly content?: string | null;
      readonly tool_calls?: readonly (CompletionCall & { readonly index: number })[];
    };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: CompletionTokens | null;
}

interface Completion {
  readonly choices: readonly {
    readonly message: {
      readonly content: string | null;
      readonly tool_calls?: readonly CompletionCall[];
    };
    readonly finish_reason: string;
  }[];
  readonly usage?: CompletionTokens;
}

interface OpenAiClient {
  readonly chat: {
    readonly completions: {
      create(body: object): Promise<AsyncIterable<Chunk> & Completion>;
      stream(body: object): { finalChatCompletion(): Promise<Completion> };
    };
  };
  readonly models: { list(): Promise<{ readonly data: readonly { readonly id: string }[] }> };
}

interface OpenAiPackage {
  readonly OpenAI: {
    new (options: object): OpenAiClient;
    readonly APIError: new () => Error & { readonly status: number | undefined };
  };
}

function openAi(question: Question): OpenAiClient {
  const { OpenAI } = load<OpenAiPackage>('openai');
  const { apiKey, baseURL } = question;
  return new OpenAI({ apiKey, baseURL, defaultHeaders: headersOf(question) });
}

function bodyOf(question: Question, more: object): object {
  return {
    model: 'agent',
    messages: messagesOf(question),
    tools: [{ type: 'function', function: END_CALL }],
    ...more,
  };
}

const STREAMED = { stream: true, stream_options: { include_usage: true } };

/** The names of the models, as the official client lists them. */
export async function listModels(question: Question): Promise<readonly string[]> {
  const { data } = await openAi(question).models.list();
  return data.map(({ id }) => id);
}

/** Reads one piece and leaves. Resolves with the piece. */
export async function readFirstPiece(question: Question): Promise<string> {
  const stream = await openAi(question).chat.completions.create(bodyOf(question, STREAMED));
  for await (const { choices } of stream) {
    const content = choices[0]?.delta.content ?? '';
    if (content !== '') return content; // returning ends the request
  }
  return '';
}

async function refusedByOpenAi<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const { OpenAI } = load<OpenAiPackage>('openai');
    if (error instanceof OpenAI.APIError) throw new Refused(error.status, error.message);
    throw error;
  }
}

const openAiIterator: Reader = {
  name: 'openai, its iterator',
  read: (question) => refusedByOpenAi(async () => {
    const stream = await openAi(question).chat.completions.create(bodyOf(question, STREAMED));
    let [text, finish, usage]: [string, string | undefined, CompletionTokens | undefined] =
      ['', undefined, undefined];
    const calls: { name: string; args: string }[] = [];
    for await (const chunk of stream) {
      const [choice] = chunk.choices;
      text += choice?.delta.content ?? '';
      finish = choice?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
      for (const { index, function: { name, arguments: args } } of choice?.delta.tool_calls ?? []) {
        const call = (calls[index] ??= { name, args: '' });
        call.args += args;
      }
    }
    return {
      text, finish, calls: calls.map(({ name, args }) => parsed(name, args)),
      tokens: tokensOf(usage),
    };
  }),
};

function tokensOf(usage: CompletionTokens | undefined): Read['tokens'] {
  return [usage?.prompt_tokens ?? 0, usage?.completion_tokens ?? 0];
}

function readCompletion({ choices: [choice], usage }: Completion): Read {
  const calls = choice?.message.tool_calls ?? [];
  return {
    text: choice?.message.content ?? '',
    finish: choice?.finish_reason,
    calls: calls.map(({ function: { name, arguments: args } }) => parsed(name, args)),
    tokens: tokensOf(usage),
  };
}

const openAiStream: Reader = {
  name: 'openai, its stream helper',
  read: (question) => refusedByOpenAi(async () => {
    const stream = openAi(question).chat.completions.stream(bodyOf(question, STREAMED));
    return readCompletion(await stream.finalChatCompletion());
  }),
};

const openAiJson: Reader = {
  name: 'openai, without a stream',
  read: (question) => refusedByOpenAi(async () =>
    readCompletion(await openAi(question).chat.completions.create(bodyOf(question, {})))),
};

// The package `ai` and two of its providers.

interface AiCall {
  readonly toolName: string;
  readonly input: unknown;
}

interface AiUsage {
  readonly inputTokens: number | undefined;
  readonly outputTokens: number | undefined;
}

interface AiReply<W> {
  readonly text: W extends 'later' ? PromiseLike<string> : string;
  readonly finishReason: W extends 'later' ? PromiseLike<string> : string;
  readonly toolCalls: W extends 'later' ? PromiseLike<readonly AiCall[]> : readonly AiCall[];
  readonly usage: W extends 'later' ? PromiseLike<AiUsage> : AiUsage;
}

interface AiPackage {
  streamText(options: object): AiReply<'later'> & { consumeStream(): Promise<void> };
  generateText(options: object): Promise<AiReply<'now'>>;
  jsonSchema(schema: object): object;
  tool(definition: object): object;
}

type Fetch = typeof globalThis.fetch;

/** Sends a body that breaks a rule. */
function damaging({ isDamaged }: Question): Fetch {
  return (url, init) => {
    if (isDamaged !== true || typeof init?.body !== 'string') return fetch(url, init);
    const body = JSON.stringify({ ...(JSON.parse(init.body) as object), messages: DAMAGED });
    return fetch(url, { ...init, body });
  };
}

type ModelOf = (question: Question) => object;

const aiOpenAi: ModelOf = (question) => {
  const { createOpenAI } = load<{
    createOpenAI(options: object): { chat(model: string): object };
  }>('@ai-sdk/openai');
  const { apiKey, baseURL } = question;
  const options = { apiKey, baseURL, headers: headersOf(question), fetch: damaging(question) };
  return createOpenAI(options).chat('agent');
};

const aiCompatible: ModelOf = (question) => {
  const { createOpenAICompatible } = load<{
    createOpenAICompatible(options: object): { chatModel(model: string): object };
  }>('@ai-sdk/openai-compatible');
  const { apiKey, baseURL } = question;
  return createOpenAICompatible({
    name: 'agents', apiKey, baseURL, headers: headersOf(question), fetch: damaging(question),
    includeUsage: true,
  }).chatModel('agent');
};

function aiOptions(question: Question, modelOf: ModelOf): object {
  const { tool, jsonSchema } = load<AiPackage>('ai');
  const { name, description, parameters } = END_CALL;
  return {
    model: modelOf(question),
    messages: [{ role: 'user', content: question.words }],
    tools: { [name]: tool({ description, inputSchema: jsonSchema(parameters) }) },
  };
}

function refusedByAi(error: unknown): unknown {
  const status = (error as { readonly statusCode?: unknown }).statusCode;
  return typeof status === 'number' ? new Refused(status, (error as Error).message) : error;
}

function aiStreamed(name: string, modelOf: ModelOf): Reader {
  return {
    name: `ai and ${name}, streamed`,
    async read(question) {
      let failure: unknown;
      const reply = load<AiPackage>('ai').streamText({
        ...aiOptions(question, modelOf),
        onError: ({ error }: { readonly error: unknown }) => {
          failure = error;
        },
      });
      await reply.consumeStream();
      if (failure !== undefined) throw refusedByAi(failure);
      return readAi({
        text: await reply.text,
        finishReason: await reply.finishReason,
        toolCalls: await reply.toolCalls,
        usage: await reply.usage,
      });
    },
  };
}

function aiWhole(name: string, modelOf: ModelOf): Reader {
  return {
    name: `ai and ${name}, without a stream`,
    async read(question) {
      try {
        return readAi(await load<AiPackage>('ai').generateText(aiOptions(question, modelOf)));
      } catch (error) {
        throw refusedByAi(error);
      }
    },
  };
}

function readAi({ text, finishReason, toolCalls, usage }: AiReply<'now'>): Read {
  return {
    text,
    finish: finishReason.replace('-', '_'),
    calls: toolCalls.map(({ toolName, input }) => ({ name: toolName, args: input })),
    tokens: [usage.inputTokens ?? 0, usage.outputTokens ?? 0],
  };
}

// LiveKit's plugin for language models.

interface LivekitChunk {
  readonly delta?: {
    readonly content?: string;
    readonly toolCalls?: readonly { readonly name: string; readonly args: string }[];
  };
  readonly usage?: { readonly promptTokens: number; readonly completionTokens: number };
}

interface LivekitModel {
  on(event: 'error', listener: (event: { readonly error: Error }) => void): void;
  chat(options: object): AsyncIterable<LivekitChunk>;
  prewarm(): void;
}

interface LivekitPackage {
  readonly initializeLogger: (options: object) => void;
  readonly llm: {
    readonly ChatContext: new () => {
      addMessage(message: { readonly role: string; readonly content: string }): void;
    };
    tool(definition: object): object;
  };
}

let isLogging = false;

function livekit(): LivekitPackage {
  const agents = load<LivekitPackage>('@livekit/agents');
  if (!isLogging) agents.initializeLogger({ pretty: false, level: 'silent' });
  isLogging = true;
  return agents;
}

function livekitModel({ baseURL, apiKey }: Question): LivekitModel {
  livekit();
  const { LLM } = load<{ LLM: new (options: object) => LivekitModel }>(
    '@livekit/agents-plugin-openai',
  );
  return new LLM({ baseURL, apiKey, model: 'agent' });
}

/** Why LiveKit's plugin cannot be used: its native parts do not exist for every machine. */
export const livekitProblem = problemOf(livekit);

function problemOf(use: () => unknown): string | undefined {
  try {
    use();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
  }
}

/**
 * Connects before there is anything to ask, as LiveKit's agents do. Nothing reports the outcome.
 */
export function prewarmLivekit(question: Question): void {
  livekitModel(question).prewarm();
}

const livekitPlugin: Reader = {
  name: "LiveKit's plugin for openai",
  problem: livekitProblem,
  async read(question) {
    const { llm } = livekit();
    const model = livekitModel(question);
    let failure: Error | undefined;
    model.on('error', ({ error }) => {
      failure = error;
    });
    const chatCtx = new llm.ChatContext();
    chatCtx.addMessage({ role: 'user', content: question.words });
    const { name, description, parameters } = END_CALL;
    const endCall = llm.tool({ description, parameters, execute: () => 'ended' });
    const stream = model.chat({
      chatCtx,
      toolCtx: { [name]: endCall },
      extraKwargs: {
        extra_headers: headersOf(question),
        ...(question.isDamaged === true ? { extra_body: { messages: DAMAGED } } : {}),
      },
    });
    let text = '';
    const calls: ReadCall[] = [];
    let tokens: Read['tokens'] = [0, 0];
    for await (const { delta, usage } of stream) {
      text += delta?.content ?? '';
      for (const call of delta?.toolCalls ?? []) calls.push(parsed(call.name, call.args));
      if (usage !== undefined) tokens = [usage.promptTokens, usage.completionTokens];
    }
    if (failure !== undefined) throw refusedByAi(failure);
    return { text, calls, finish: undefined, tokens };
  },
};

export const readers: readonly Reader[] = [
  openAiIterator,
  openAiStream,
  openAiJson,
  aiStreamed('@ai-sdk/openai', aiOpenAi),
  aiWhole('@ai-sdk/openai', aiOpenAi),
  aiStreamed('@ai-sdk/openai-compatible', aiCompatible),
  aiWhole('@ai-sdk/openai-compatible', aiCompatible),
  livekitPlugin,
];
