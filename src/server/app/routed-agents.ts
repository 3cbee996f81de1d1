// The agents of an app, each with its path, its conversations and its turns.

import type { Metrics } from '../../base/metrics.ts';
import { processAddress } from '../../base/process-address.ts';
import type { BoundAgent } from '../../core/agents/agent.ts';
import { ConversationManager } from '../../core/conversations/manager.ts';
import { onceToolsOf } from '../../core/tools/tool-list.ts';
import { Turns } from '../../core/turns/turns.ts';
import { CHAT_COMPLETIONS } from '../../core/wires/chat-completions/events.ts';
import { LAYERCODE } from '../../core/wires/layercode/our-events.ts';
import type { TurnObserver } from '../../core/wires/wire-options.ts';
import { turnMetrics } from '../observers/turn-metrics.ts';
import { workMetrics } from '../observers/work-metrics.ts';
import { agentPath } from '../settings/named-agents.ts';
import type { AppParts } from './app-parts.ts';
import { loaded } from './code-on-demand.ts';

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

/** An agent with everything it is served with. */
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

export function routeAgents(given: GivenAgents, parts: AppParts): RoutedAgents {
  const { settings, store, channel, metrics, log, records, platform } = parts;
  const { tracing, limits, costOf, code } = parts;
  const agents = new Map<string, BoundAgent>();
  for (const { name, agent } of given) if (name !== undefined) agents.set(name, agent);
  const channelOf = channel === undefined || agents.size === 0
    ? () => channel
    : loaded('work', code).agentChannels(channel);
  // Without a channel, other processes that use the store still need to know which process runs a
  // turn.
  const address = channel?.address ?? (store.isShared ? processAddress() : undefined);
  if (address !== undefined) store.runsAt?.(address);

  const figuresKept = {
    ofAllTurns: records !== undefined,
    ofRequests: settings.captureModelRequests || platform?.showsRequests === true,
  };
  const hasFigures = figuresKept.ofAllTurns || figuresKept.ofRequests;

  function route({ name, agent, secrets, keys }: GivenAgent): RoutedAgent {
    const { agentRoute, maxMessages } = settings;
    const own = channelOf(name ?? '');
    const ownMetrics = name === undefined ? metrics : metrics.labelled('agent', name);
    const redaction = agent.redact === undefined ? undefined : loaded('redaction', code);
    const conversations = new ConversationManager(store, {
      maxMessages,
      ...(name === undefined ? {} : { agentName: name }),
      numbers: redaction?.numbersFor(agent),
      onCleared: (conversationId, erasedAt) => {
        turns.states?.erase(conversationId, erasedAt);
        records?.erased?.(conversations.keyOf(conversationId), erasedAt);
      },
    });
    const speakers = [agent, ...agents.values()]; // it may hand over to any of them
    const turns = new Turns({
      process: address,
      agent,
      ownName: name,
      agents,
      conversations,
      others: own === undefined
        ? undefined
        : (turns) => new (loaded('work', code).OtherProcesses)(own, turns, log),
      settings,
      observer: workMetrics(ownMetrics, onceToolsOf(speakers)),
      figures: hasFigures ? new (loaded('work', code).FigureTaker)(figuresKept) : undefined,
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
              () => turns.readForRecord(conversationId, log),
              () => conversations.isStoreAway,
            );
          },
      tracing,
      limits,
      costOf,
      values: redaction?.openValues({
        agent, name, secrets, keys, speakers, conversations, store, settings, log,
      }),
      agentWork: code.work,
    });
    const path = name === undefined ? agentRoute : agentPath(agentRoute, name);
    const wires = [
      ...(secrets.length > 0 ? [LAYERCODE] : []),
      ...(keys.length > 0 ? [CHAT_COMPLETIONS] : []),
    ];
    const observe = turnMetrics(ownMetrics, costOf, wires);
    const onTurnEnd: TurnObserver = (delivery, report) => {
      observe(delivery, report);
      const { event: { turnId }, context: { requestId, receivedAtMs } } = delivery;
      const durationMs = performance.now() - receivedAtMs;
      platform?.turnEnded({ ...report, requestId, turnId, durationMs });
    };
    return {
      name, agent, secrets, keys, path, conversations, turns, metrics: ownMetrics,
      onTurnEnd: platform === undefined ? observe : onTurnEnd,
    };
  }

  const [first, ...others] = given;
  return [route(first), ...others.map(route)];
}
