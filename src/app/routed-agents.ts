// The agents of an app, each with its path, its conversations and its turns.

import type { BoundAgent } from '../agents/agent.ts';
import { processAddress } from '../base/process-address.ts';
import { messageOf, withoutMessage } from '../base/thrown-values.ts';
import { ConversationManager } from '../conversations/manager.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { turnMetrics } from '../observers/turn-metrics.ts';
import { workMetrics } from '../observers/work-metrics.ts';
import { kindsIn } from '../redaction/redact.ts';
import { Redaction } from '../redaction/redaction.ts';
import type { SharedValues, SharedValuesOptions } from '../redaction/shared-values.ts';
import { agentPath } from '../settings/named-agents.ts';
import { onceToolsOf } from '../tools/tool-list.ts';
import { Turns } from '../turns/turns.ts';
import { deliveryReport, type TurnObserver } from '../wires/reply-stream.ts';
import { agentChannels } from './agent-channels.ts';
import type { AppParts } from './app-parts.ts';

/** An agent, with the name and secrets it is served under. */
export interface GivenAgent {
  /** Undefined for an app's only agent. */
  readonly name: string | undefined;
  readonly agent: BoundAgent;
  /** Any of these may have signed its events. Empty: LayerCode is not served. */
  readonly secrets: readonly string[];
  /** Any of these may come with a request. Empty: Chat Completions is not served. */
  readonly keys: readonly string[];
}

/** At least one agent. The first also has the agent route itself. */
export type GivenAgents = readonly [GivenAgent, ...GivenAgent[]];

/** An agent, with everything it is served with. */
export interface RoutedAgent extends GivenAgent {
  /** The path its events are posted to. */
  readonly path: string;
  readonly conversations: ConversationManager;
  readonly turns: Turns;
  /** The metrics of this agent. */
  readonly metrics: Metrics;
  /** Told of each turn that has ended, whichever wire it came over. */
  readonly onTurnEnd: TurnObserver;
}

/** As many as were given, in the same order. */
export type RoutedAgents = readonly [RoutedAgent, ...RoutedAgent[]];

/** Whether it may need a value itself. Unknown of tools that each turn makes, and of code. */
function mayReveal({ tools }: BoundAgent): boolean {
  return tools === undefined || tools.some(({ raw }) => raw === true);
}

/** Undefined for an agent that redacts nothing. */
function redactionFor(
  { name = '', agent, secrets, keys }: GivenAgent,
  { log, settings: { redactionKeys }, store: { aside } }: AppParts,
  speakers: readonly BoundAgent[],
  conversations: ConversationManager,
): Redaction | undefined {
  if (agent.redact === undefined) return undefined;
  const isShared = redactionKeys.length > 0 && speakers.some(mayReveal);
  const keyOf = (id: string): string => conversations.keyOf(id);
  return new Redaction({
    redact: agent.redact,
    // All processes that serve the agent have these.
    key: JSON.stringify(['redaction', name, [...secrets, ...keys].sort()]),
    onFailure: (error) =>
      log.error('redact failed: a text was left out', {
        agent: agent.name, error: withoutMessage(error),
      }),
    shared: isShared && aside !== undefined
      ? shareValues({ aside, keys: redactionKeys, keyOf, log })
      : undefined,
  });
}

/** Loaded only with `REDACTION_KEY`. Undefined if that fails: calls can do without. */
async function shareValues(
  options: SharedValuesOptions & { readonly log: Logger },
): Promise<SharedValues | undefined> {
  try {
    const { SharedValues } = await import('../redaction/shared-values.ts');
    return new SharedValues(options);
  } catch (error) {
    options.log.warn('REDACTION_KEY has no effect', { reason: messageOf(error) });
    return undefined;
  }
}

export function routeAgents(given: GivenAgents, parts: AppParts): RoutedAgents {
  const { settings, store, channel, metrics, log, records, platform } = parts;
  const { tracing, limits, costOf } = parts;
  const agents = new Map<string, BoundAgent>();
  for (const { name, agent } of given) if (name !== undefined) agents.set(name, agent);
  const channelOf =
    channel === undefined || agents.size === 0 ? () => channel : agentChannels(channel);
  // Without a channel, the other processes that use the store still need to know whose a turn is.
  const address = channel?.address ?? (store.isShared ? processAddress() : undefined);
  if (address !== undefined) store.runsAt?.(address);

  function route({ name, agent, secrets, keys }: GivenAgent): RoutedAgent {
    const { agentRoute, maxMessages } = settings;
    const own = channelOf(name ?? '');
    const ownMetrics = name === undefined ? metrics : metrics.labelled('agent', name);
    const conversations = new ConversationManager(store, {
      maxMessages,
      ...(name === undefined ? {} : { agentName: name }),
      kinds: agent.redact === undefined ? undefined : kindsIn(agent.redact),
      onCleared: (conversationId, erasedAt) =>
        records?.erased?.(conversations.keyOf(conversationId), erasedAt),
    });
    const speakers = [agent, ...agents.values()]; // it may hand over to any of them
    const turns = new Turns({
      process: address,
      agent,
      ownName: name,
      agents,
      conversations,
      others: own === undefined ? undefined : { channel: own, log },
      turnTimeoutMs: settings.turnTimeoutSeconds * 1_000,
      firstWordTimeoutMs: settings.firstWordTimeoutSeconds * 1_000,
      storeTimeoutMs: settings.storeTimeoutMs,
      settleMs: settings.settleMs,
      maxReplyWords: settings.maxReplyWords,
      observer: workMetrics(ownMetrics, onceToolsOf(speakers)),
      recordsCalls: records !== undefined,
      capturesRequests: settings.captureModelRequests || platform?.showsRequests === true,
      onTurnOver: records?.turnEnded === undefined
        ? undefined
        : ({ conversationId, sessionId, wire, caller }, process) => {
            const conversationKey = conversations.keyOf(conversationId);
            const agentName = name ?? agent.name;
            const ids = { conversationId, sessionId, conversationKey };
            const call = { ...ids, agent: agentName, wire, caller };
            records.turnEnded?.(
              call,
              process,
              () => conversations.readOrMark(conversationId),
              () => conversations.isStoreAway,
            );
          },
      tracing,
      limits,
      costOf,
      redaction: redactionFor({ name, agent, secrets, keys }, parts, speakers, conversations),
    });
    const path = name === undefined ? agentRoute : agentPath(agentRoute, name);
    const observe = turnMetrics(ownMetrics, costOf);
    const onTurnEnd: TurnObserver = (delivery, report) => {
      observe(delivery, report);
      platform?.turnEnded(deliveryReport(delivery, report));
    };
    return {
      name, agent, secrets, keys, path, conversations, turns, metrics: ownMetrics,
      onTurnEnd: platform === undefined ? observe : onTurnEnd,
    };
  }

  const [first, ...others] = given;
  return [route(first), ...others.map(route)];
}
