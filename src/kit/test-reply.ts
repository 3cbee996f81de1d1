import type { ToolCallState } from '../core/conversations/message.ts';
import type { CallerTurn } from './platform/caller-turn.ts';
import type { TestEvent } from './platform/test-wire.ts';

/** A tool call of a turn, as recorded in history. */
export interface TestToolCall {
  readonly tool: string;
  /** The model's arguments: parsed, or as text if they are not JSON. */
  readonly args: unknown;
  /** The result the model received: parsed, or as text if it was cut. */
  readonly result: unknown;
  readonly state: ToolCallState;
}

/** Where a reply comes from. */
export interface ReplySource {
  /** Call it once. */
  events(): AsyncIterable<TestEvent>;
  drop(): void;
  toolCalls(): Promise<readonly TestToolCall[]>;
  /** Takes the events as they are read. */
  readonly turn: CallerTurn;
}

/**
 * The streamed answer to a request. Iterate over it once, or call `text()` or `events()`: each of
 * these reads it to its end.
 */
export class TestReply implements AsyncIterable<TestEvent> {
  readonly response: Response;
  readonly #source: ReplySource;
  #isTaken = false;
  #events: Promise<TestEvent[]> | undefined;

  /** Use a `TestClient` instead. */
  constructor(response: Response, source: ReplySource) {
    this.response = response;
    this.#source = source;
  }

  get status(): number {
    return this.response.status;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TestEvent, void, undefined> {
    this.#isTaken = true;
    for await (const event of this.#source.events()) {
      await this.#source.turn.take(event);
      yield event;
    }
  }

  /** All events, once the stream has ended. */
  events(): Promise<TestEvent[]> {
    return (this.#events ??= listOf(this));
  }

  /**
   * Everything that was spoken, once the stream has ended, or up to the interruption. If the
   * request was refused, rejects with what the server said.
   */
  async text(): Promise<string> {
    if (!this.response.ok) throw new Error(await this.#refusal());
    await this.events();
    return this.#source.turn.text;
  }

  async #refusal(): Promise<string> {
    const reason = this.response.bodyUsed ? '' : `: ${await this.response.text()}`;
    return `the request was refused with status ${this.status}${reason}`;
  }

  /** Whether the agent hangs up with this reply, once the stream has ended. */
  async hangsUp(): Promise<boolean> {
    await this.events();
    return this.#source.turn.endsCallBy === 'hang-up';
  }

  /**
   * The tool calls of the turn, in order, once the stream has ended. They come from the app's
   * history, because the wire does not show them. Rejects if history has no such turn, as after an
   * erasure, and if the client was created with an origin.
   */
  async toolCalls(): Promise<readonly TestToolCall[]> {
    await (this.#isTaken ? this.#events : this.events());
    return this.#source.toolCalls();
  }

  /** The answer to an event that is not a turn. */
  async json(): Promise<unknown> {
    return this.response.json();
  }

  /** Closes the connection, as platforms do when the caller interrupts the reply. */
  drop(): void {
    this.#isTaken = true;
    this.#source.drop();
  }
}

async function listOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}
