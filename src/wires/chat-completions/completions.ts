import { andThen, type Awaitable } from '../../base/awaitable.ts';
import type { TurnEvent } from '../../calls/call-event.ts';
import type { OpenSessions } from '../../calls/open-sessions.ts';
import type { Handler } from '../../http/compose.ts';
import type { Context } from '../../http/context.ts';
import type { Settings } from '../../settings/settings.ts';
import type { Turns } from '../../turns/turns.ts';
import { checkJsonType } from '../json-body.ts';
import {
  checkRoomForStream, StreamDelivery, type OpenRequests, type TurnObserver,
} from '../reply-stream.ts';
import { isCallAction, OfferedActions } from './call-actions.ts';
import { conversationOf, turnEventOf, type RequestConversation, type Seal } from './call-events.ts';
import { ChunkEncoder, type ChunkOptions } from './chunk-encoder.ts';
import { withErrorBody } from './error-body.ts';
import type { CompletionEvent } from './events.ts';
import { completionOf, JsonDelivery, SILENT_REPLY } from './json-delivery.ts';
import type { Keys } from './keys.ts';
import { PROFILES, type Profile, type ProfileName } from './profiles.ts';
import { parseCompletion, toldBy, toolsOffered, wantsUsage, type ToldCall } from './request.ts';

export interface CompletionsOptions {
  /** The name that the agent is served under. */
  readonly agentName: string;
  readonly keys: Keys;
  readonly profile: ProfileName;
  readonly turns: Turns;
  readonly open: OpenRequests;
  readonly settings: Settings;
  readonly onTurnEnd: TurnObserver;
  /** Undefined if no shutdown waits for calls, or if the platform does not say when they end. */
  readonly openSessions: OpenSessions | undefined;
}

/** Handlers for what platforms ask of an agent over Chat Completions. */
export interface Completions {
  /** Answers a request for a completion. */
  readonly complete: Handler;
  /** Lists the agent as the only model. */
  readonly models: Handler;
}

export function completions(options: CompletionsOptions): Completions {
  const { keys } = options;
  const server = new CompletionServer(options);
  return {
    complete: withErrorBody((context) => {
      keys.check(context);
      checkJsonType(context);
      return andThen(context.takeRawBody(), (body) => server.answer(context, body));
    }),
    models: withErrorBody((context) => {
      keys.check(context);
      const model = { id: options.agentName, object: 'model', created: 0, owned_by: 'agent' };
      context.json(200, { object: 'list', data: [model] });
    }),
  };
}

/** Gives each warning once. */
class Warnings {
  readonly #given = new Set<string>();

  /** `what` is one of a few fixed texts. */
  once(context: Context, message: string, fields: Readonly<Record<string, unknown>>): void {
    const key = `${message} ${String(fields['what'])}`;
    if (this.#given.has(key)) return;
    this.#given.add(key);
    context.log.warn(message, fields);
  }
}

class CompletionServer {
  readonly #options: CompletionsOptions;
  readonly #profile: Profile;
  readonly #warnings = new Warnings();

  constructor(options: CompletionsOptions) {
    this.#options = options;
    this.#profile = PROFILES[options.profile];
  }

  answer(context: Context, body: Buffer): Awaitable<void> {
    const raw = parseCompletion(body);
    const told = toldBy(raw);
    const place = conversationOf(raw, context.headers, this.#profile);
    return andThen(this.#redacted(context, raw, told, place), (event) =>
      this.#answer(context, event, raw, told));
  }

  #redacted(
    { headers }: Context,
    raw: CompletionEvent,
    told: ToldCall,
    place: RequestConversation,
  ): Awaitable<TurnEvent> {
    const { turns } = this.#options;
    return andThen(turns.sealed(place.conversationId, raw), (sealed) => {
      const seal: Seal | undefined =
        sealed === undefined ? undefined : (value) => sealed.all(value);
      const event = turnEventOf(raw, told, headers, this.#profile, place, seal);
      return turns.redacted(event, sealed);
    });
  }

  #answer(
    context: Context,
    event: TurnEvent,
    raw: CompletionEvent,
    told: ToldCall,
  ): Awaitable<void> {
    const { logFields } = context;
    logFields['event'] = raw.type;
    logFields['conversationId'] = event.conversationId;
    if (event.turnId === undefined) this.#warnOfAnonymous(context);
    else logFields['turnId'] = event.turnId;
    const options = this.#chunkOptions(context, raw, event);
    if (this.#isAfterAction(told)) return this.#answerNothing(context, raw, options);
    return this.#startTurn(context, event, raw, options);
  }

  #warnOfAnonymous(context: Context): void {
    const { profile } = this.#options;
    this.#warnings.once(context, 'the request names no conversation, so it stands alone', {
      profile,
      hint: 'each request stands alone, and tools that act once are not offered: '
        + 'set the header X-Conversation-Id on the platform',
    });
  }

  /**
   * Whether the platform reports how hanging up or transferring went. The turn that asked for it is
   * over.
   */
  #isAfterAction({ last, continues }: ToldCall): boolean {
    return last === 'tool' && continues.some((name) => isCallAction(this.#profile, name));
  }

  #chunkOptions(context: Context, raw: CompletionEvent, event: TurnEvent): ChunkOptions {
    const { agentName } = this.#options;
    const actions = new OfferedActions(this.#profile, toolsOffered(raw), (what) =>
      this.#warnings.once(context, 'a part of a reply was dropped: the platform has no word for it', { what }),
    );
    return {
      id: event.turnId ?? event.conversationId,
      model: agentName,
      now: Date.now(),
      wantsUsage: wantsUsage(raw),
      fillerEnd: this.#profile.fillerEnd,
      joinsTexts: this.#profile.joinsTexts,
      actions,
    };
  }

  #startTurn(
    context: Context,
    event: TurnEvent,
    raw: CompletionEvent,
    options: ChunkOptions,
  ): Awaitable<void> {
    const { open, settings, turns, onTurnEnd, openSessions } = this.#options;
    checkRoomForStream(open, settings.maxStreams);
    // No report can name an anonymous call, so waiting for its end would be in vain.
    if (event.turnId !== undefined) openSessions?.start(event.sessionId);
    if (raw.stream !== true) {
      const delivery = new JsonDelivery(context, event, options, onTurnEnd, open);
      turns.start(delivery);
      return delivery.closed; // the app answers with an error for a handler that has not answered
    }
    const encoder = new ChunkEncoder(options);
    const heartbeatMs = settings.heartbeatSeconds * 1_000;
    const delivery = new StreamDelivery(context, event, encoder, heartbeatMs, onTurnEnd, open);
    delivery.begin(turns);
  }

  #answerNothing(context: Context, raw: CompletionEvent, options: ChunkOptions): void {
    context.logFields['outcome'] = 'completed before';
    if (raw.stream === true) {
      const encoder = new ChunkEncoder(options);
      return context.text(200, encoder.start + encoder.end(undefined), 'text/event-stream');
    }
    context.json(200, completionOf(options, SILENT_REPLY, undefined));
  }
}
