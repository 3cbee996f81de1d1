// What turns do with the values of their conversations, for an agent with `redact`. Loaded only for
// such an agent.

import { andThen, type Awaitable } from '../../base/awaitable.ts';
import type { Logger } from '../../base/log.ts';
import { atOnce } from '../../base/slices.ts';
import type { RequestEvent, ToolRun } from '../agents/agent.ts';
import type { CallEvent } from '../calls/call-event.ts';
import type { SentEvent } from '../calls/reply-event.ts';
import type { ConversationManager } from '../conversations/manager.ts';
import type { ToolCall } from '../conversations/message.ts';
import { redactedError } from '../redaction/redacted-error.ts';
import { redactedEvent } from '../redaction/redacted-event.ts';
import type { Redaction } from '../redaction/redaction.ts';
import { SealedTexts } from '../redaction/sealed-texts.ts';
import { withJsonTexts, type Change, type Place } from '../redaction/texts.ts';
import type { StateRedactor } from '../state/live-state.ts';

/** The turn that needs the values. */
export interface ValuedTurn {
  readonly conversationId: string;
  /** False for a turn that leaves nothing in history. */
  readonly isStored: boolean;
  readonly log: Logger;
  readonly work?: { noteStore(step: 'values', fromMs: number): void } | undefined;
}

/** The values of all conversations of an agent. */
export class AgentValues {
  readonly redaction: Redaction;
  readonly conversations: Pick<ConversationManager, 'known' | 'numberValues'>;

  constructor(redaction: Redaction, conversations: AgentValues['conversations']) {
    this.redaction = redaction;
    this.conversations = conversations;
  }

  of(turn: ValuedTurn): Values {
    return new Values(turn, this);
  }

  /** See `Turns`. */
  redacted<E extends CallEvent>(event: E, sealed?: SealedTexts): Awaitable<E> {
    const { redaction } = this;
    return redaction.slices.run(
      event.conversationId, redactedEvent(event, redaction, sealed),
    );
  }

  /** See `Turns`. */
  sealed(conversationId: string, value: unknown): Awaitable<SealedTexts> {
    const sealed = this.#textsOf(conversationId);
    const { slices } = this.redaction;
    return andThen(slices.run(conversationId, sealed.learning(value)), () => sealed);
  }

  /** See `Turns`. */
  told<E extends CallEvent>(event: E, log: Logger): Awaitable<E> {
    const { redaction, conversations } = this;
    const { conversationId, type } = event;
    if (type === 'data') return withNumbers(this, { conversationId, isStored: true, log }, event);
    // The other events report what turns have said. After an erasure they must leave nothing
    // behind.
    if (!redaction.hasUnnamed(conversationId, redaction.named(conversationId, event)))
      return redaction.named(conversationId, event);
    return andThen(conversations.known(conversationId), (known) => {
      if (known !== undefined) redaction.learn(conversationId, known.placeholders);
      return redaction.named(conversationId, event);
    });
  }

  /**
   * Takes values out of an agent's state. What the state had in the same field before does not come
   * from a value that was given out: a total stays a number.
   */
  state(conversationId: string): StateRedactor {
    let texts: SealedTexts | undefined;
    return (json, before) => {
      texts = new SealedTexts(this.redaction, conversationId, true, texts?.given);
      const had = texts.given?.isEmpty === false ? fieldsIn(before) : undefined;
      const [given, found] = [texts.change(), this.#textsOf(conversationId).change()];
      const changeOf = (item: string | number, { name }: Place): Required<Change> =>
        had?.has(fieldOf(item, name)) === true ? found : given;
      const sealed = withJsonTexts(json, {
        text: (text, place) => changeOf(text, place).text(text, place),
        number: (value, place) => changeOf(value, place).number(value, place),
      });
      return this.redaction.named(conversationId, sealed);
    };
  }

  #textsOf(conversationId: string): SealedTexts {
    return new SealedTexts(this.redaction, conversationId);
  }
}

/** Keeps the values of a turn's conversation out of what the turn stores and sends to a model. */
export class Values {
  readonly #turn: ValuedTurn;
  readonly #all: AgentValues;
  /** A reply is read again with each round of tool calls, and at its end. */
  readonly #texts: SealedTexts;
  /** What a model writes: it has no values, and a call must be the same call each time. */
  #asked: SealedTexts | undefined;
  #told: { readonly event: unknown; readonly names: unknown; readonly told: unknown } | undefined;

  constructor(turn: ValuedTurn, all: AgentValues) {
    this.#turn = turn;
    this.#all = all;
    this.#texts = new SealedTexts(all.redaction, turn.conversationId, true);
  }

  get #redaction(): Redaction {
    return this.#all.redaction;
  }

  get #askedTexts(): SealedTexts {
    return (this.#asked ??= new SealedTexts(this.#redaction, this.#turn.conversationId));
  }

  /** The text with placeholders. New values get their numbers when it is stored. */
  text(text: string): string {
    return this.named(this.#texts.text(text));
  }

  /**
   * The same for the first `length` characters of a text, the rest of which was not sent. A value
   * that was sent in part is replaced, too, and with `isCut` one that was said in part.
   */
  beginning(text: string, length: number, isCut = false): string {
    const whole = isCut ? this.named(atOnce(this.#texts.sealingHeard(text))) : this.text(text);
    if (length >= text.length) return whole;
    const cut = this.text(text.slice(0, length));
    let end = 0;
    while (end < cut.length && cut[end] === whole[end]) end += 1;
    if (end === cut.length) return cut;
    // Ends with the placeholder that is there. A part of its value may look like another value.
    const start = whole.lastIndexOf('[', end);
    const last = start === -1 ? -1 : whole.indexOf(']', start);
    return whole.slice(0, last >= end ? last + 1 : end);
  }

  /** A JSON value whose marks have become numbers, as far as these are known. */
  named<T>(value: T): T {
    return this.#redaction.named(this.#turn.conversationId, value);
  }

  /** The event of the turn, with such numbers. */
  told<E>(event: E): E {
    const names = this.#redaction.namesOf(this.#turn.conversationId);
    if (this.#told?.event !== event || this.#told.names !== names)
      this.#told = { event, names, told: this.named(event) };
    return this.#told.told as E;
  }

  event(event: SentEvent): SentEvent {
    if (event.type === 'say') return { ...event, text: this.text(event.text) };
    if (event.type === 'transfer' && event.briefing !== undefined)
      return { ...event, briefing: this.text(event.briefing) };
    return event.type === 'data' ? { ...event, json: this.json(event.json) } : event;
  }

  /** The same for JSON text. */
  json(json: string): string {
    return this.named(this.#texts.json(json));
  }

  /** The same, with numbers for new values. */
  numberedJson(json: string, texts = this.#texts): Awaitable<string> {
    const { slices } = this.#redaction;
    return andThen(
      slices.run(this.#turn.conversationId, texts.sealingJson(json)),
      (sealed) => withNumbers(this.#all, this.#turn, sealed),
    );
  }

  /** Calls as they may be run and stored, together with what was `said` before them. */
  calls(calls: readonly ToolCall[], said: string): Promise<readonly ToolCall[]> {
    return this.#calls(calls, said, this.#askedTexts);
  }

  /** The same for calls that the agent runs itself: it may write values into them. */
  ownCalls(calls: readonly ToolCall[], said: string): Promise<readonly ToolCall[]> {
    return this.#calls(calls, said, this.#texts);
  }

  async #calls(
    calls: readonly ToolCall[],
    said: string,
    texts: SealedTexts,
  ): Promise<readonly ToolCall[]> {
    const redacted: ToolCall[] = [];
    await withNumbers(this.#all, this.#turn, said);
    for (const call of calls)
      redacted.push({ ...call, args: await this.numberedJson(call.args, texts) });
    return redacted;
  }

  /** A request to a model as it may be recorded: an agent's prompt may hold values. */
  request(event: RequestEvent): RequestEvent {
    if (event.type === 'sent') return { ...event, body: this.json(event.body) };
    if (event.type !== 'completed' && event.type !== 'failed') return event;
    const { text, calls } = event.answer;
    const redacted = calls.map((call) => ({ ...call, args: this.json(call.args) }));
    return { ...event, answer: { text: this.text(text), calls: redacted } };
  }

  /** How to run a call so that its result may be stored. */
  run(tool: ToolRun): ToolRun {
    const { once } = tool;
    return {
      ...tool,
      ...(once === undefined
        ? {}
        : {
            once: (signal) =>
              andThen(once(signal), (text) =>
                text === undefined ? undefined : this.numberedJson(text, this.#askedTexts)),
          }),
      run: (context) => this.#result(() => tool.run(context)),
      late: () => {
        const late = tool.late?.();
        return late === undefined ? undefined : this.#result(() => late);
      },
    };
  }

  /** What a tool returns or throws, as it may be stored. */
  async #result(run: () => Awaitable<string>): Promise<string> {
    try {
      return await this.numberedJson(await run());
    } catch (error) {
      throw this.error(error);
    }
  }

  /** What was thrown, as it may be logged and traced. */
  error(error: unknown): unknown {
    return redactedError(error, (value) => this.named(this.#texts.all(value)));
  }

  /** See `TurnJournal`. */
  bring(value: unknown): Promise<void> {
    return this.#redaction.bring(this.#turn.conversationId, value);
  }

  /** See `TurnJournal`. */
  reveal<T>(value: T): T {
    return this.#redaction.reveal(this.#turn.conversationId, value);
  }

  /** See `TurnJournal`. */
  conceal<T>(value: T): T {
    return this.named(this.#askedTexts.all(value));
  }
}

/** The texts and numbers of a JSON text, each with the name of its field. */
function fieldsIn(json: string | undefined): ReadonlySet<string> {
  const fields = new Set<string>();
  if (json === undefined) return fields;
  const note = <I extends string | number>(item: I, { name }: Place): I => {
    fields.add(fieldOf(item, name));
    return item;
  };
  withJsonTexts(json, { text: note, number: note });
  return fields;
}

function fieldOf(item: string | number, name: string | undefined): string {
  return JSON.stringify([item, name]);
}

/**
 * A JSON value whose marks have become placeholders. Those without a number get one from the store
 * first. If the store does not answer, the marks keep their letters.
 */
function withNumbers<T>(
  { redaction, conversations }: AgentValues,
  turn: ValuedTurn,
  value: T,
): Awaitable<T> {
  const { conversationId, isStored, log } = turn;
  const known = redaction.named(conversationId, value);
  if (!redaction.hasUnnamed(conversationId, known)) return known;
  if (!isStored) return redaction.numberedHere(conversationId, known);
  const failed = (error: unknown): T => {
    log.warn('redacted values were not numbered, as the store did not confirm', {
      conversationId, error,
    });
    return known;
  };
  try {
    const fromMs = performance.now();
    const numbered = andThen(conversations.numberValues(conversationId, known), (placeholders) => {
      redaction.learn(conversationId, placeholders);
      return redaction.named(conversationId, known);
    });
    if (!(numbered instanceof Promise)) return numbered;
    return numbered.finally(() => turn.work?.noteStore('values', fromMs)).catch(failed);
  } catch (error) {
    return failed(error);
  }
}
