// Turns without sockets: deliveries are plain objects, and tools end when the test says so.

import type { TestContext } from 'node:test';

import { createLogger } from '../../../src/base/log.ts';
import type {
  Agent, ToolCallContext, ToolRun, TurnJournal,
} from '../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import type { CallerMessage, Transcript } from '../../../src/core/calls/call-event.ts';
import type { ReplyEvent } from '../../../src/core/calls/reply-event.ts';
import { ConversationManager } from '../../../src/core/conversations/manager.ts';
import { MemoryStore } from '../../../src/core/conversations/memory-store.ts';
import type { ConversationStore } from '../../../src/core/conversations/store.ts';
import * as agentWork from '../../../src/core/turns/agent-work.ts';
import type { DeliveredTurn, Delivery } from '../../../src/core/turns/delivery.ts';
import { Turns, type TurnsOptions } from '../../../src/core/turns/turns.ts';
import { deferred, Told, until, type Deferred } from '../../fixtures/app.ts';
import { callerMessage, RUN_OPTIONS } from '../../fixtures/turns.ts';

export const CONVERSATION = 'c-1';

/** A delivery whose client takes everything at once. */
export class Client implements Delivery {
  readonly event: CallerMessage;
  readonly headers = {};
  turn: DeliveredTurn | undefined;
  isOpen = true;
  readonly sent: ReplyEvent[] = [];
  readonly outcomes: string[] = [];
  readonly logged: string[] = [];
  readonly #outcome = deferred<string>();
  readonly log = createLogger({
    level: 'warn', write: (line) => this.logged.push((JSON.parse(line) as { msg: string }).msg),
  });

  constructor(turnId: string, text = turnId, transcript?: Transcript) {
    this.event = { ...callerMessage(turnId, text, CONVERSATION), transcript };
  }

  /** How the delivery was answered, as soon as that is known. */
  get outcome(): Promise<string> {
    return this.#outcome.promise;
  }

  get said(): string {
    return this.sent.map((event) => (event.type === 'say' ? event.text : '')).join('');
  }

  get unsent(): number {
    return 0;
  }

  send(event: ReplyEvent): boolean {
    this.sent.push(event);
    return true;
  }

  end(_when?: unknown): boolean {
    return true;
  }

  onOutcome({ outcome }: Parameters<Delivery['onOutcome']>[0]): void {
    this.outcomes.push(outcome);
    this.#outcome.resolve(outcome);
  }
}

interface ProcessOptions
  extends Partial<Omit<TurnsOptions, 'agent' | 'conversations' | 'settings'>> {
  readonly store?: ConversationStore;
  readonly settings?: Partial<TurnsOptions['settings']>;
}

/** The turns of one agent in one process, and what came of them. */
export class Process {
  readonly turns: Turns;
  readonly conversations: ConversationManager;
  readonly store: ConversationStore;
  readonly #clients: Client[] = [];

  /** Turns may take a minute. */
  constructor(
    t: TestContext,
    agent: Partial<Agent>,
    { store = memory(), settings, ...options }: ProcessOptions = {},
  ) {
    this.store = store;
    this.conversations = new ConversationManager(store);
    this.turns = new Turns({
      ...RUN_OPTIONS,
      agentWork,
      agent: defineAgent({ name: 'tested', onMessage: () => 'Yes.', ...agent }),
      conversations: this.conversations,
      ...options,
      settings: {
        ...RUN_OPTIONS.settings, turnTimeoutSeconds: 60, firstWordTimeoutSeconds: 60, ...settings,
      },
    });
    t.after(() => this.turns.interruptAll('the test is over'));
  }

  deliver(turnId: string, text?: string, transcript?: Transcript): Client {
    return this.start(new Client(turnId, text, transcript));
  }

  start<T extends Client>(client: T): T {
    this.#clients.push(client);
    this.turns.start(client);
    return client;
  }

  /** In the order of the deliveries. */
  get outcomes(): string[] {
    return this.#clients.flatMap(({ event, outcomes }) =>
      outcomes.map((outcome) => `${event.turnId} ${outcome}`));
  }

  /** The words of each turn that said something. */
  get said(): string[] {
    return this.#clients.map((client) => client.said).filter((text) => text !== '');
  }

  get logged(): string[] {
    return this.#clients.flatMap((client) => client.logged);
  }

  async over(count: number): Promise<void> {
    await until(() => this.outcomes.length === count, `the end of ${count} turns`);
  }

  /** Each message of history: its role or state, and its content. */
  async history(): Promise<string[]> {
    const history = await this.conversations.getHistory(CONVERSATION);
    return history.map((message) =>
      `${message.role === 'user' ? 'user' : message.state}: ${message.content}`);
  }

  /** Turn, state and content of the results in history. */
  async results(): Promise<string[]> {
    const history = await this.conversations.getHistory(CONVERSATION);
    return history.flatMap((message) =>
      message.role === 'tool' ? `${message.turnId} ${message.state} ${message.content}` : []);
  }
}

export function memory(): MemoryStore {
  return new MemoryStore({ ttlMs: 3_600_000, maxConversations: 10 });
}

export type Work = Deferred<string> & { readonly context: ToolCallContext };

export const BOOK = { id: 'call-1', name: 'book', args: '{"table":4}' };

/** A tool whose calls the test ends. */
export class Booking {
  readonly works: Work[] = [];
  readonly #begun = new Told<Work>();

  readonly run = (context: ToolCallContext): Promise<string> => {
    const work = { ...deferred<string>(), context };
    this.works.push(work);
    this.#begun.tell(work);
    return work.promise;
  };

  begun(): Promise<Work> {
    return this.#begun.next('the tool');
  }

  /** Calls the tool, and returns its result. */
  async result(journal: TurnJournal, more: Partial<ToolRun> = {}): Promise<string> {
    const [outcome] = await journal.runTools([BOOK], () => ({ run: this.run, ...more }));
    return outcome?.content ?? '';
  }

  /** The hook of an agent that books, and says the result, if the words begin with "Book". */
  onMessage(more: Partial<ToolRun> = {}): Agent['onMessage'] {
    return async ({ text, journal }, reply) => {
      await reply.say(text.startsWith('Book') ? await this.result(journal, more) : 'Yes.');
    };
  }
}

/** Long enough for everything that does not wait for a timer. */
export async function idle(): Promise<void> {
  for (let round = 0; round < 5; round++) await new Promise((resolve) => setImmediate(resolve));
}
