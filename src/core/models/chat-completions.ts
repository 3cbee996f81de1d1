// One model on the Chat Completions wire: https://platform.openai.com/docs/api-reference/chat

import { endingAtOnce } from '../../base/end-at-once.ts';
import { FieldRefused, type ModelAccess } from './failure.ts';
import {
  ModelError, type ChatMessage, type ChatModel, type DefaultOptions, type ModelDelta,
  type ModelServer, type ModelStreamOptions, type RequestFailure,
} from './model.ts';
import type { Provider } from './providers.ts';
import { ReplyAssembler } from './reply-assembler.ts';
import { ReplyReader } from './reply-reader.ts';
import { createRequestBody } from './request-body.ts';
import { requestFailureOf, RequestReport } from './request-report.ts';
import { RequestClock, TIMEOUTS, type Timeouts } from './timeouts.ts';
import { ToolCallSignatures } from './tool-call-signatures.ts';
import {
  openEventStream, readBoundedText, readTrailer, type BodyReader,
} from './vendor-request.ts';

export interface ChatCompletionsOptions {
  /** `provider:model`, for errors and usage. */
  readonly name: string;
  readonly provider: Provider;
  /** The vendor's name for the model. */
  readonly model: string;
  /** An http(s) URL without a trailing slash; `/chat/completions` is appended. */
  readonly baseUrl: string;
  readonly key?: string | undefined;
  /** Variables to name in the error if the key is refused. Default: the provider's. */
  readonly keyNames?: readonly string[];
  /** Default: the global `fetch`. Must obey its signal while the body is read, too. */
  readonly fetch?: typeof fetch;
  readonly timeouts?: Partial<Timeouts>;
  /**
   * Whether replies begin inside a thought, because the prompt's template opens one. Default false.
   */
  readonly beginsAsThought?: boolean;
  /** Used if a request sets none. */
  readonly defaults?: DefaultOptions;
}

/** A request as its stream's `return()` sees it. */
interface OpenRequest {
  readonly connection: AbortController;
  /** Once true, the connection belongs to `fetch`: the next request may use it. */
  isOver: boolean;
}

type Tell = ModelStreamOptions['onProblem'];

/** A model that makes one `fetch` per stream and does not retry. */
export function chatCompletionsModel({
  name, provider, model, baseUrl, key, keyNames = provider.keyNames,
  fetch = globalThis.fetch, timeouts: given, beginsAsThought = false, defaults,
}: ChatCompletionsOptions): ChatModel {
  const access: ModelAccess = { name, keyNames, key };
  const timeouts: Timeouts = { ...TIMEOUTS, ...given };
  const server = serverOf(baseUrl);
  const signatures = new ToolCallSignatures();
  /** Fields the model does not accept. */
  const leftOut = new Set<string>();
  /** Set when the key is refused, cleared by the next answer. */
  let refusal: string | undefined;
  let hasSpokenThought = false;

  /** Ends quietly if its signal aborts, or if its reader has aborted the connection. */
  async function* ask(
    messages: readonly ChatMessage[],
    { signal, ...options }: ModelStreamOptions,
    request: OpenRequest,
  ): AsyncGenerator<ModelDelta, void, undefined> {
    if (signal.aborted) return;
    const { onProblem: tell } = options;
    const { connection } = request;
    const abort = (): void => connection.abort(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    const clock = new RequestClock(name, timeouts, (error) => connection.abort(error));
    const isStopped = (): boolean =>
      signal.aborted || (connection.signal.aborted && clock.expired === undefined);
    const reply = new ReplyAssembler({
      access,
      beginsAsThought,
      onExtraContent: (callId, extraContent) => signatures.remember(callId, extraContent),
    });
    let leftOver: BodyReader | undefined;
    const report = new RequestReport(name, options, reply, server);
    let failure: RequestFailure = 'interrupted'; // until something else is known
    let cause: unknown;
    try {
      const sendWithout = (refused: ReadonlySet<string>): Promise<BodyReader> => {
        clock.start('connect');
        return send(messages, options, refused, connection.signal, report);
      };
      const body = await withoutRefusedFields(sendWithout, tell);
      refusal = undefined;
      const reader = new ReplyReader(body, access, reply, clock);
      while (!reader.isOver) {
        for (const delta of await reader.read()) {
          if (isStopped()) return;
          if (reader.hasBegun) report.begun(reader.firstDeltaAt);
          report.answered(delta);
          yield delta;
        }
        if (reader.hasBegun) report.begun(reader.firstDeltaAt); // with a part of a tool call
      }
      noteSpokenThought(reply, tell);
      if (reply.isDone) leftOver = body;
      const firstDeltaMs = reader.firstDeltaAt - report.sentAtMs;
      const durationMs = performance.now() - report.sentAtMs;
      const end = { firstDeltaMs, durationMs, finishReason: reply.finishReason };
      const usage: ModelDelta = { type: 'usage', model: name, ...reply.usage, ...end };
      report.completed(usage);
      if (!isStopped()) yield usage;
    } catch (error) {
      noteRefusal(error, tell);
      if (isStopped()) return;
      cause = clock.expired ?? error;
      failure = requestFailureOf(cause);
      throw cause;
    } finally {
      request.isOver = true;
      report.failed(failure, cause);
      clock.close();
      signal.removeEventListener('abort', abort);
      if (leftOver === undefined) connection.abort();
      else void readTrailer(leftOver, connection, timeouts.trailerMs);
    }
  }

  function send(
    messages: readonly ChatMessage[],
    given: Omit<ModelStreamOptions, 'signal'>,
    refused: ReadonlySet<string>,
    signal: AbortSignal,
    report: RequestReport,
  ): Promise<BodyReader> {
    const options = {
      ...given,
      temperature: given.temperature ?? defaults?.temperature,
      maxOutputTokens: given.maxOutputTokens ?? defaults?.maxOutputTokens,
    };
    if (options.temperature !== undefined && provider.takesTemperature?.(model) === false) {
      leaveOut('temperature', 'takes no temperature', given.onProblem);
    }
    const { json, optional } = createRequestBody({
      provider,
      providerName: name.slice(0, name.indexOf(':')),
      model,
      messages,
      options,
      takesCacheKey: provider.takesCacheKey === true && baseUrl === provider.baseUrl,
      signatures,
      leftOut: refused.size === 0 ? leftOut : new Set([...leftOut, ...refused]),
    });
    report.sent(json);
    const url = `${baseUrl}/chat/completions`;
    return report.run(() =>
      openEventStream({ fetch, url, body: json, optional, access, signal }));
  }

  /**
   * Sends the request again without the refused field, leaving out one more each time. Fields are
   * left out for good only if that helped: a refusal may quote a caller who happened to say the
   * word.
   */
  async function withoutRefusedFields(
    sendWithout: (refused: ReadonlySet<string>) => Promise<BodyReader>,
    tell: Tell,
  ): Promise<BodyReader> {
    const refused = new Set<string>();
    for (;;) {
      try {
        const reader = await sendWithout(refused);
        for (const field of refused) leaveOut(field, `refuses ${field}`, tell);
        return reader;
      } catch (error) {
        if (!(error instanceof FieldRefused)) throw error;
        refused.add(error.field);
      }
    }
  }

  /** Leaves the field out from now on, and reports that once. */
  function leaveOut(field: string, why: string, tell: Tell): void {
    if (leftOut.has(field)) return;
    leftOut.add(field);
    tell?.(`${name} ${why}: it is left out`);
  }

  /** Reports only the first one. */
  function noteSpokenThought({ spokeThought }: ReplyAssembler, tell: Tell): void {
    if (!spokeThought || hasSpokenThought) return;
    hasSpokenThought = true;
    const what = `${name} sent </think> without <think>: what it thought may have been spoken`;
    tell?.(`${what}. THINKING=open keeps it back`);
  }

  /** Reports the first refusal, and again the first one after an answer. */
  function noteRefusal(error: unknown, tell: Tell): void {
    if (!(error instanceof ModelError) || error.code !== 'key_refused') return;
    if (refusal === undefined) tell?.(error.message);
    refusal = error.message;
  }

  return {
    name,
    stream(messages, options) {
      const request: OpenRequest = { connection: new AbortController(), isOver: false };
      return endingAtOnce(ask(messages, options, request), () => {
        if (!request.isOver) request.connection.abort();
      });
    },
    async warm(signal) {
      if (signal.aborted) return;
      const connection = new AbortController();
      const abort = (): void => connection.abort();
      const clock = setTimeout(abort, timeouts.connectMs);
      signal.addEventListener('abort', abort, { once: true });
      try {
        // Any answer will do, even a 404: the connection stays in fetch's pool. Not HEAD, because
        // undici closes the connection after it (nodejs/undici#258). An unread body would close
        // the connection too.
        const response = await fetch(baseUrl, {
          method: 'OPTIONS',
          redirect: 'manual',
          signal: connection.signal,
        });
        if (response.body !== null) await readBoundedText(response.body.getReader(), access);
      } catch {
        // Only time is lost: the first request opens its own connection and reports what is wrong.
      } finally {
        clearTimeout(clock);
        signal.removeEventListener('abort', abort);
        // Ends a body that exceeded its bound. A connection back in the pool is not affected.
        connection.abort();
      }
    },
    problems: () => (refusal === undefined ? [] : [refusal]),
    // Even if the key is refused: the next turn tries it again. Otherwise a server without traffic
    // would never notice that the key works again.
    isUsable: () => true,
  };
}

function serverOf(baseUrl: string): ModelServer {
  const { hostname, port, protocol } = new URL(baseUrl);
  const address = hostname.replace(/^\[(.*)\]$/, '$1'); // an IPv6 address without its brackets
  return { address, port: Number(port || (protocol === 'https:' ? 443 : 80)) };
}
