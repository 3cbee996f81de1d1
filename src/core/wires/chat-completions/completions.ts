import { andThen, type Awaitable } from '../../../base/awaitable.ts';
import { MAX_ID_LENGTH } from '../../../base/fields.ts';
import type { Handler } from '../../../base/http/compose.ts';
import type { Context } from '../../../base/http/context.ts';
import type { LogFields } from '../../../base/log.ts';
import type { TurnEvent } from '../../calls/call-event.ts';
import { checkJsonType } from '../json-body.ts';
import { checkRoomForStream, StreamDelivery } from '../reply-stream.ts';
import type { WireOptions } from '../wire-options.ts';
import type { BearerKeys } from './bearer-keys.ts';
import { isCallAction, OfferedActions } from './call-actions.ts';
import { ChunkEncoder, type ChunkOptions } from './chunk-encoder.ts';
import { withErrorBody } from './error-body.ts';
import type { CompletionEvent } from './events.ts';
import { completionOf, JsonDelivery, SILENT_REPLY } from './json-delivery.ts';
import { conversationOf, turnEventOf } from './our-events.ts';
import { PROFILES, type Profile, type ProfileName } from './profiles.ts';
import { parseCompletion, toldBy, toolsOffered, wantsUsage, type ToldCall } from './request.ts';

export interface CompletionsOptions extends WireOptions {
  readonly keys: BearerKeys;
  readonly profile: ProfileName;
}

/** Handlers for what platforms ask of an agent over Chat Completions. */
export interface Completions {
  /** Answers a request for a completion. */
  readonly complete: Handler;
  /** Lists the agent as the only model. */
  readonly models: Handler;
}

export function completions(options: CompletionsOptions): Completions {
  const { agentName, keys, turns, openSessions } = options;
  const profile: Profile = PROFILES[options.profile];
  const warnings = new Set<string>();

  /** Gives each warning once. `what` is one of a few fixed texts. */
  function warnOnce(context: Context, message: string, what: string, fields: LogFields): void {
    const key = `${message} ${what}`;
    if (warnings.has(key)) return;
    warnings.add(key);
    context.log.warn(message, fields);
  }

  function chunkOptions(context: Context, raw: CompletionEvent, event: TurnEvent): ChunkOptions {
    const message = 'a part of a reply was dropped: the platform offers no tool for it';
    const actions = new OfferedActions(profile, toolsOffered(raw), (what, hint) =>
      warnOnce(context, message, what, { what, hint }));
    return {
      id: event.turnId ?? event.conversationId,
      model: agentName,
      now: Date.now(),
      wantsUsage: wantsUsage(raw),
      fillerEnd: profile.fillerEnd,
      joinsTexts: profile.joinsTexts,
      actions,
    };
  }

  /**
   * Whether the platform reports how hanging up or transferring went. The turn that asked for it is
   * over.
   */
  function isAfterAction({ last, continues }: ToldCall): boolean {
    return last === 'tool' && continues.some((name) => isCallAction(profile, name));
  }

  function answer(
    context: Context,
    event: TurnEvent,
    raw: CompletionEvent,
    told: ToldCall,
  ): Awaitable<void> {
    const { logFields } = context;
    logFields['event'] = raw.type;
    logFields['conversationId'] = event.conversationId;
    if (event.turnId !== undefined) logFields['turnId'] = event.turnId;
    else warnOnce(context, 'the request names no conversation, so it stands alone', '', {
      profile: options.profile,
      hint: 'each request stands alone, and tools that act once are not offered: '
        + `set the header X-Conversation-Id, with at most ${MAX_ID_LENGTH} characters`,
    });
    const given = chunkOptions(context, raw, event);
    return isAfterAction(told)
      ? answerNothing(context, raw, given)
      : startTurn(context, event, raw, given);
  }

  function startTurn(
    context: Context,
    event: TurnEvent,
    raw: CompletionEvent,
    given: ChunkOptions,
  ): Awaitable<void> {
    checkRoomForStream(options);
    // No report can name an anonymous call, so waiting for its end would be in vain.
    if (event.turnId !== undefined) openSessions?.start(event.sessionId);
    if (raw.stream !== true) {
      const delivery = new JsonDelivery(context, event, given, options);
      turns.start(delivery);
      return delivery.closed; // the app answers with an error for a handler that has not answered
    }
    new StreamDelivery(context, event, new ChunkEncoder(given), options).begin();
  }

  return {
    complete: withErrorBody((context) => {
      keys.check(context);
      checkJsonType(context);
      return andThen(context.takeRawBody(), (body) => {
        const raw = parseCompletion(body);
        const told = toldBy(raw);
        const { headers } = context;
        const place = conversationOf(raw, headers, profile);
        return andThen(turns.sealed(place.conversationId, raw), (sealed) => {
          const event = turnEventOf(raw, told, headers, profile, place, sealed);
          return andThen(turns.redacted(event, sealed), (redacted) =>
            answer(context, redacted, raw, told));
        });
      });
    }),
    models: withErrorBody((context) => {
      keys.check(context);
      const model = { id: agentName, object: 'model', created: 0, owned_by: 'agent' };
      context.json(200, { object: 'list', data: [model] });
    }),
  };
}

function answerNothing(context: Context, raw: CompletionEvent, options: ChunkOptions): void {
  context.logFields['outcome'] = 'completed before';
  if (raw.stream === true) {
    const encoder = new ChunkEncoder(options);
    return context.text(200, encoder.start + encoder.end(undefined), 'text/event-stream');
  }
  context.json(200, completionOf(options, SILENT_REPLY, undefined));
}
