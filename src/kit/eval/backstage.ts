import { createLogger } from '../../base/log.ts';
import type { Agent } from '../../core/agents/agent.ts';
import { cameWith } from '../../core/conversations/turn-record.ts';
import { DEFAULT_PRICES } from '../../core/models/prices.ts';
import { withFallbacks, withRetries } from '../../core/models/retry.ts';
import type { App, ServedAgent } from '../../server/app/app.ts';
import { isAgent, type NamedAgents } from '../../server/app/assemble-app.ts';
import { createApp } from '../../server/app/create-app.ts';
import { agentPath } from '../../server/settings/named-agents.ts';
import type { ScriptedAnswer } from '../scripted-answer.ts';
import { scriptedModel } from '../scripted-model.ts';
import { describeLogLine } from '../terminal/text.ts';
import type { Notes } from './notebook.ts';
import { observed } from './observed-model.ts';
import type { Cast, PlayOptions } from './play-options.ts';
import type { Scenario } from './scenario.ts';
import { sentText } from './sent-request.ts';
import { shiftedClock } from './shifted-clock.ts';
import type { Address, Stage } from './stage.ts';
import { toolStandIns } from './tool-stand-ins.ts';
import type { WatchedStore } from './watched-store.ts';

interface BackstageOptions extends Cast, Pick<PlayOptions, 'allowsRealTools' | 'modelFor'> {
  readonly scenario: Scenario;
  readonly store: WatchedStore;
  readonly notes: Notes;
  /** How far the clock is ahead. Undefined: it shows the true time. */
  readonly aheadMs?: number | undefined;
}

export interface Backstage extends Stage {
  /** Whether the agent is working without its store. */
  isStoreAway(): boolean;
}

/** The agent's side of a scenario: an app that reports what happens in it. */
export function backstage(options: BackstageOptions): Backstage {
  const { scenario, settings, agent, store, notes, aheadMs } = options;
  const { allowsRealTools: allowsAll, modelFor = (own) => own } = options;
  const clock = shiftedClock(aheadMs);
  const tools = toolStandIns({ realTools: scenario.realTools, allowsAll, notes });
  let answers: ScriptedAnswer[] = [];
  let app: App | undefined;

  /** Stands in for the agent's own model, if the scenario scripts the answers. */
  const scripted = scriptedModel(() => {
    const answer = answers.shift();
    if (answer !== undefined) return answer;
    notes.unscripted();
    throw new Error('the scenario has no more "model" lines for this turn');
  });

  function served(): ServedAgent {
    if (app === undefined) throw new Error('the app is not open');
    const name = isAgent(agent) ? undefined : scenario.agent;
    const path = name === undefined ? settings.agentRoute : agentPath(settings.agentRoute, name);
    return app.agents.find((one) => one.path === path) ?? app.agents[0];
  }

  /** The agent, with models and tools that report what they do. */
  function watchedAgent(one: Agent): Agent {
    const { modelPrices = DEFAULT_PRICES } = settings;
    const { bind } = one;
    if (bind === undefined) return one;
    return {
      ...one,
      bind: (resources) => bind.call(one, {
        ...resources,
        openModel: (chosen) => {
          const name = typeof chosen === 'object' ? chosen.name : chosen;
          const own = scenario.isScripted ? scripted : modelFor(resources.openModel(chosen));
          const model = observed(own, modelPrices, notes, (messages, streamOptions) =>
            sentText(name, messages, streamOptions));
          const { models: count } = scenario;
          if (count === undefined) return model;
          return withFallbacks(Array.from({ length: count }, () => withRetries(model)));
        },
        replaceTool: tools.replace,
      }),
    };
  }

  function watchedAgents(): Agent | NamedAgents {
    if (isAgent(agent)) return watchedAgent(agent);
    return Object.fromEntries(
      Object.entries(agent).map(([name, one]) => [name, watchedAgent(one)] as const),
    );
  }

  async function open(): Promise<Address> {
    const { logLevel: level, secrets } = settings;
    const write = (line: string): void => notes.logged(describeLogLine(line));
    app = createApp(settings, watchedAgents(), {
      log: createLogger({ level, secrets, write }), store,
    });
    if (aheadMs !== undefined) app.use((_context, next) => clock.run(next));
    const { port } = await app.listen({ host: '127.0.0.1', port: 0 });
    return { origin: `http://127.0.0.1:${port}`, route: served().path };
  }

  async function closeApp(): Promise<void> {
    const closing = app;
    app = undefined;
    await closing?.close();
  }

  return {
    open,
    prepare: (given) => void (answers = [...given]),
    answersLeft: () => answers.length,
    mock: tools.mock,
    hold: tools.hold,
    release: tools.release,
    settled(conversationId, timeoutMs) {
      const { conversations } = served();
      return store.watchers.until(async () => {
        const { openTurns = 0 } = (await conversations.read(conversationId)) ?? {};
        return openTurns === 0;
      }, timeoutMs);
    },
    async turnState(conversationId, turnId) {
      const { turns = [] } = (await served().conversations.read(conversationId)) ?? {};
      return turns.findLast((turn) => cameWith(turn, turnId))?.state;
    },
    state: async (conversationId) => served().conversations.getState(conversationId),
    isStoreAway: () => store.isAway,
    async restart() {
      await closeApp();
      return open();
    },
    async close() {
      try {
        await closeApp();
        await store.end();
      } finally {
        clock.close();
      }
    },
  };
}
