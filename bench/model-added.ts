import { randomUUID } from 'node:crypto';
import type { Agent, BoundAgent } from '../src/agents/agent.ts';
import { defineAgent } from '../src/agents/define-agent.ts';
import { tool } from '../src/agents/tool.ts';
import { Turns } from '../src/turns/turns.ts';
import { ConversationManager } from '../src/conversations/manager.ts';
import { MemoryStore } from '../src/conversations/memory-store.ts';
import { createLogger } from '../src/log.ts';
import type { ChatModel } from '../src/models/model.ts';
import { MARKDOWN, PROSE } from './model-texts.ts';
import { median } from './stats.ts';

/** Microseconds the model's agent adds to the generator, in one round. */
export interface Added {
  readonly firstTokenUs: number;
  readonly nextTokenUs: number;
  readonly nextMarkdownUs: number;
}

export interface Size {
  readonly rounds: number;
  readonly turns: number;
  readonly deltas: number;
}

/** Turns per round for next tokens, for each text and contestant. */
const LONG_TURNS = 20;
const HISTORY_MESSAGES = 40;

export async function measureAdded({ rounds, turns, deltas }: Size): Promise<Added[]> {
  const texts = {
    one: PROSE.slice(0, 1),
    prose: repeat(PROSE, deltas),
    markdown: repeat(MARKDOWN, deltas),
  };
  const added: Added[] = [];
  for (let round = -1; round < rounds; round++) {
    const first = await compare(texts.one, turns, ({ firstUs }) => firstUs);
    const prose = await compare(texts.prose, LONG_TURNS, ({ nextUs }) => nextUs);
    const markdown = await compare(texts.markdown, LONG_TURNS, ({ nextUs }) => nextUs);
    if (round >= 0)
      added.push({ firstTokenUs: first, nextTokenUs: prose, nextMarkdownUs: markdown });
  }
  return added;
}

/** Alternates between the two, turn by turn, so that anything else on the machine affects both. */
async function compare(
  texts: readonly string[],
  turns: number,
  figureOf: (turn: TurnTimes) => number,
): Promise<number> {
  const contestants = [
    createContestant(createGenerator(texts)),
    createContestant(createModelAgent(texts)),
  ];
  const figures: number[][] = [[], []];
  for (let turn = -HISTORY_MESSAGES / 2; turn < turns; turn++) {
    for (const [index, run] of contestants.entries()) {
      const times = await run();
      if (turn >= 0) figures[index]?.push(figureOf(times));
    }
  }
  return median(figures[1] ?? []) - median(figures[0] ?? []);
}

interface TurnTimes {
  /** From the event to the first spoken text. */
  readonly firstUs: number;
  /** Per delta after the first, to the end of the turn. */
  readonly nextUs: number;
}

/** An agent with its own conversation, kept at twenty turns. Each call runs a turn. */
function createContestant({
  agent,
  deltas,
}: {
  readonly agent: Agent;
  readonly deltas: number;
}): () => Promise<TurnTimes> {
  const conversations = new ConversationManager(
    new MemoryStore({ ttlMs: 3_600_000, maxConversations: 10 }),
    { maxMessages: HISTORY_MESSAGES },
  );
  const turns = new Turns({
    agent,
    conversations,
    turnTimeoutMs: 120_000,
    firstWordTimeoutMs: 10_000,
  });
  const log = createLogger({ level: 'silent', write: () => undefined });
  return () =>
    new Promise((resolve, reject) => {
      const turnId = randomUUID();
      const receivedAtMs = performance.now();
      let spokenAtMs: number | undefined;
      turns.start({
        event: {
          type: 'message',
          conversation_id: 'c-1',
          session_id: 's-1',
          turn_id: turnId,
          text: 'And what is there to see?',
        },
        conversationId: 'c-1',
        turnId,
        headers: {},
        log,
        isOpen: true,
        unsent: 0,
        end: () => true,
        send(event) {
          if (event.type === 'say') spokenAtMs ??= performance.now();
          return true;
        },
        onOutcome({ outcome }) {
          if (outcome !== 'completed' || spokenAtMs === undefined)
            reject(new Error(`a turn was ${outcome}`));
          else
            resolve({
              firstUs: (spokenAtMs - receivedAtMs) * 1_000,
              nextUs: ((performance.now() - spokenAtMs) * 1_000) / Math.max(1, deltas - 1),
            });
        },
      });
    });
}

/** The contestant to beat: forwards the texts unchanged. */
function createGenerator(texts: readonly string[]): { agent: Agent; deltas: number } {
  const model = createFakeModel(texts);
  const agent = defineAgent({
    name: 'generator',
    async *onMessage({ signal }) {
      for await (const delta of model.stream([], { signal }))
        if (delta.type === 'text') yield delta.text;
    },
  });
  return { agent, deltas: texts.length };
}

function createModelAgent(texts: readonly string[]): { agent: BoundAgent; deltas: number } {
  const tools = ['search', 'look_up', 'book'].map((name) =>
    tool({
      name,
      description: 'Never called.',
      parameters: { type: 'object', properties: { query: { type: 'string' } } },
      run: () => null,
    }),
  );
  const agent = defineAgent({ name: 'model', prompt: 'You are on the phone. Be brief.', tools });
  const bound = agent.bind?.({
    openModel: () => createFakeModel(texts),
    fastModel: undefined,
    slowModel: undefined,
    fillerAfterMs: 1_200,
  });
  if (bound === undefined) throw new Error('the agent has nothing to bind');
  return { agent: bound, deltas: texts.length };
}

function createFakeModel(texts: readonly string[]): ChatModel {
  return {
    name: 'fake:model',
    async *stream() {
      for (const text of texts) yield { type: 'text', text };
      yield {
        type: 'usage',
        model: 'fake:model',
        inputTokens: 100,
        outputTokens: texts.length,
        firstDeltaMs: 0,
      };
    },
    warm: () => Promise.resolve(),
    problems: () => [],
    isUsable: () => true,
  };
}

function repeat(texts: readonly string[], count: number): string[] {
  return Array.from({ length: count }, (_, index) => texts[index % texts.length] ?? '');
}
