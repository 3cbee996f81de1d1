import type { Agent } from '../../agents/agent.ts';
import type { App, ServedAgent } from '../../app/app.ts';
import { isAgent, type NamedAgents } from '../../app/assemble-app.ts';
import { createApp } from '../../app/create-app.ts';
import type { JsonObject } from '../../base/json.ts';
import type { TurnState } from '../../conversations/message.ts';
import { cameWith } from '../../conversations/turn-record.ts';
import { createLogger } from '../../log.ts';
import { DEFAULT_PRICES } from '../../models/prices.ts';
import { withFallbacks, withRetries } from '../../models/retry.ts';
import { agentPath } from '../../settings/named-agents.ts';
import type { ScriptedAnswer } from '../scripted-answer.ts';
import { scriptedModel } from '../scripted-model.ts';
import { describeLogLine } from './log-line.ts';
import type { Notes } from './notebook.ts';
import { observed } from './observed-model.ts';
import type { Cast, PlayOptions } from './play-options.ts';
import type { Scenario } from './scenario.ts';
import { sentText } from './sent-request.ts';
import { ShiftedClock } from './shifted-clock.ts';
import type { Address, Stage } from './stage.ts';
import type { Mock } from './stand-in-lines.ts';
import type { ToolMoment } from './steps.ts';
import { ToolStandIns } from './tool-stand-ins.ts';
import type { WatchedStore } from './watched-store.ts';

export interface BackstageOptions extends Cast, Pick<PlayOptions, 'allowsRealTools' | 'modelFor'> {
  readonly scenario: Scenario;
  readonly store: WatchedStore;
  readonly notes: Notes;
  /** How far the clock is ahead. Undefined: it is the true one. */
  readonly aheadMs?: number | undefined;
}

/** The agent's side of a scenario: an app that reports what happens in it. */
export class Backstage implements Stage {
  readonly #options: BackstageOptions;
  readonly #tools: ToolStandIns;
  readonly #clock: ShiftedClock;
  /** Stands in for the agent's own, if the scenario scripts it. */
  readonly #model = scriptedModel(() => this.#nextAnswer());
  #answers: ScriptedAnswer[] = [];
  #app: App | undefined;

  constructor(options: BackstageOptions) {
    const { scenario, allowsRealTools: allowsAll, notes, aheadMs } = options;
    this.#options = options;
    this.#clock = new ShiftedClock(aheadMs);
    this.#tools = new ToolStandIns({ realTools: scenario.realTools, allowsAll, notes });
  }

  async open(): Promise<Address> {
    this.#app = this.#createApp();
    const { port } = await this.#app.listen({ host: '127.0.0.1', port: 0 });
    return { origin: `http://127.0.0.1:${port}`, route: this.#served(this.#app).path };
  }

  prepare(answers: readonly ScriptedAnswer[]): void {
    this.#answers = [...answers];
  }

  answersLeft(): number {
    return this.#answers.length;
  }

  mock(mock: Mock): void {
    this.#tools.mock(mock);
  }

  hold(moment: ToolMoment): void {
    this.#tools.hold(moment);
  }

  release(): void {
    this.#tools.release();
  }

  settled(conversationId: string, timeoutMs: number): Promise<boolean> {
    const { conversations } = this.#served(this.#opened());
    return this.#options.store.watchers.until(async () => {
      const { openTurns = 0 } = (await conversations.read(conversationId)) ?? {};
      return openTurns === 0;
    }, timeoutMs);
  }

  async turnState(conversationId: string, turnId: string): Promise<TurnState | undefined> {
    const { conversations } = this.#served(this.#opened());
    const { turns = [] } = (await conversations.read(conversationId)) ?? {};
    return turns.findLast((turn) => cameWith(turn, turnId))?.state;
  }

  async state(conversationId: string): Promise<JsonObject | undefined> {
    return this.#served(this.#opened()).conversations.getState(conversationId);
  }

  /** Whether the agent goes on without its store. */
  isStoreAway(): boolean {
    return this.#options.store.isAway;
  }

  async restart(): Promise<Address> {
    await this.#closeApp();
    return this.open();
  }

  async close(): Promise<void> {
    try {
      await this.#closeApp();
      await this.#options.store.end();
    } finally {
      this.#clock.close();
    }
  }

  async #closeApp(): Promise<void> {
    const app = this.#app;
    this.#app = undefined;
    await app?.close();
  }

  #nextAnswer(): ScriptedAnswer {
    const answer = this.#answers.shift();
    if (answer !== undefined) return answer;
    this.#options.notes.unscripted();
    throw new Error('the scenario has no more answers of the model for this turn');
  }

  #opened(): App {
    if (this.#app === undefined) throw new Error('the app is not open');
    return this.#app;
  }

  #served({ agents }: App): ServedAgent {
    const { scenario, settings, agent } = this.#options;
    const name = isAgent(agent) ? undefined : scenario.agent;
    const path = name === undefined ? settings.agentRoute : agentPath(settings.agentRoute, name);
    return agents.find((served) => served.path === path) ?? agents[0];
  }

  #createApp(): App {
    const { aheadMs, settings, agent, store, notes } = this.#options;
    const { logLevel: level, secrets } = settings;
    const write = (line: string): void => notes.logged(describeLogLine(line));
    const app = createApp(settings, this.#replaced(agent), {
      log: createLogger({ level, secrets, write }), store,
    });
    if (aheadMs !== undefined) app.use((_context, next) => this.#clock.run(next));
    return app;
  }

  #replaced(agent: Agent | NamedAgents): Agent | NamedAgents {
    if (isAgent(agent)) return this.#watched(agent);
    const entries = Object.entries(agent).map(([name, one]) => [name, this.#watched(one)] as const);
    return Object.fromEntries(entries);
  }

  /** The agent, with models and tools that report what they do. */
  #watched(agent: Agent): Agent {
    const { scenario, settings, modelFor = (own) => own, notes } = this.#options;
    const { modelPrices = DEFAULT_PRICES } = settings;
    const isCompared = scenario.steps.some(({ name }) => name === 'expect-same-request');
    const { bind } = agent;
    if (bind === undefined) return agent;
    return {
      ...agent,
      bind: (resources) => bind.call(agent, {
        ...resources,
        openModel: (chosen) => {
          const name = typeof chosen === 'object' ? chosen.name : chosen;
          const own = scenario.isScripted
            ? this.#model : modelFor(resources.openModel(chosen), scenario);
          const model = observed(own, modelPrices, notes, isCompared
            ? (messages, options) => sentText(name, messages, options) : undefined);
          const { models: count } = scenario;
          if (count === undefined) return model;
          return withFallbacks(Array.from({ length: count }, () => withRetries(model)));
        },
        replaceTool: this.#tools.replace,
      }),
    };
  }
}
