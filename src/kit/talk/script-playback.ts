import { oneLine } from '../terminal/one-line.ts';
import { describeFailure } from './call-failure.ts';
import type { CallTarget } from './call-target.ts';
import { Call, END_TIMEOUT_MS, type Answer } from './call.ts';
import type { TalkStep } from './talk-script.ts';

/** Longest text in a report, in UTF-16 code units. */
export const MAX_SHOWN = 2_000;
const MAX_DATA_SHOWN = 20;

/** Why a step failed, in lines for the report. */
export class StepFailure extends Error {
  override readonly name = 'StepFailure';
  readonly lines: readonly string[];
  /** Whether the remaining steps make no sense after this. */
  readonly isFatal: boolean;

  constructor(lines: readonly string[], { isFatal = false } = {}) {
    super(lines.join('; '));
    this.lines = lines;
    this.isFatal = isFatal;
  }
}

/**
 * Plays the steps of a script to an agent. The methods for steps resolve with a note to print next
 * to the step, or reject with a `StepFailure`.
 */
export class ScriptPlayback {
  readonly #call: Call;
  readonly #target: CallTarget;
  readonly #timeoutMs: number;
  #reply: Answer;
  /** All of them, with the welcome. */
  readonly #replies: Answer[] = [];

  /** Begins the call. */
  constructor(target: CallTarget, conversationId: string, timeoutMs: number) {
    this.#call = new Call({
      target,
      conversationId,
      onText: () => undefined,
      onData: () => undefined,
    });
    this.#target = target;
    this.#timeoutMs = timeoutMs;
    this.#reply = this.#call.start();
    this.#replies.push(this.#reply);
  }

  welcome(): Promise<string> {
    return this.#begun();
  }

  async play(step: TalkStep): Promise<string | undefined> {
    switch (step.name) {
      case 'say':
        await this.#whole();
        this.#checkLine();
        this.#reply = this.#call.say(step.text);
        this.#replies.push(this.#reply);
        return this.#begun();
      case 'expect': {
        const { text } = await this.#whole();
        if (step.expectation.matches(text)) return;
        throw new StepFailure([`expected  ${shown(step.expectation.written)}`, heard(text)]);
      }
      case 'expect-not': {
        const { text } = await this.#whole();
        if (!step.expectation.matches(text)) return;
        throw new StepFailure([`forbidden ${shown(step.expectation.written)}`, heard(text)]);
      }
      case 'expect-data':
      case 'expect-no-data': {
        const { data } = await this.#whole();
        const isWanted = step.name === 'expect-data';
        const isThere = data.some((content) => step.expectation.matchesValue(content));
        if (isThere === isWanted) return;
        const wanted = `${isWanted ? 'expected ' : 'forbidden'} data with`;
        const expected = `${wanted} ${shown(step.expectation.written)}`;
        throw new StepFailure([expected, ...listed(data.map((one) => JSON.stringify(one)))]);
      }
      case 'expect-hangup': {
        const { hangsUp, text } = await this.#whole();
        if (hangsUp) return;
        throw new StepFailure(['the agent did not hang up', heard(text)]);
      }
      case 'never': {
        const text = this.#replies.find((reply) => step.expectation.matches(reply.text))?.text;
        if (text === undefined) return;
        throw new StepFailure([`forbidden ${shown(step.expectation.written)}`, heard(text)]);
      }
      case 'within':
        return this.#within(step.ms);
      case 'ends-within': {
        const { durationMs = Infinity } = await this.#whole();
        if (durationMs <= step.ms) return;
        throw new StepFailure([`the whole reply took ${ms(durationMs)}`]);
      }
      case 'interrupt':
        return this.#interrupt(step.words);
      case 'data':
        this.#checkLine();
        return this.#answered(this.#call.data(step.data));
    }
  }

  /** Ends the call when the reply is complete. */
  async end(): Promise<void> {
    try {
      await this.#whole();
    } catch (failure) {
      await this.hangUp();
      throw failure;
    }
    try {
      await this.#answered(this.#call.end());
    } finally {
      this.#call.abandon();
    }
  }

  /** Ends the call without waiting for the reply. Failures are ignored: it follows another one. */
  async hangUp(): Promise<void> {
    await this.#call.end().over(END_TIMEOUT_MS);
    this.#call.abandon();
  }

  /** Stops waiting. */
  giveUp(): void {
    this.#call.interrupt();
  }

  async #begun(): Promise<string> {
    const firstWordMs = await this.#firstWord();
    return firstWordMs === undefined ? 'silence' : `first word after ${ms(firstWordMs)}`;
  }

  async #within(limitMs: number): Promise<undefined> {
    const firstWordMs = await this.#firstWord();
    if (firstWordMs === undefined) throw new StepFailure(['the reply had no words']);
    if (firstWordMs > limitMs) throw new StepFailure([`the first word took ${ms(firstWordMs)}`]);
  }

  /** When the reply began, or undefined if it had no words. */
  async #firstWord(): Promise<number | undefined> {
    const reply = this.#reply;
    if (!(await reply.until(() => hasBegun(reply), this.#timeoutMs))) throw this.#late('no word');
    this.#checkAnswer(reply);
    return reply.firstWordMs;
  }

  /** With 0 words: at the first word, heard or not. */
  async #interrupt(words: number): Promise<string> {
    const reply = this.#reply;
    if (words === 0) await reply.until(() => hasBegun(reply), this.#timeoutMs);
    else await reply.hearing(words, this.#timeoutMs);
    this.#checkAnswer(reply);
    const { said, heard: heardWords } = reply.words;
    if (said > 0 && heardWords >= words && this.#call.interrupt()) {
      return `heard ${counted(heardWords, 'word')}`;
    }
    if (!reply.isOver && !reply.isInterrupted) {
      throw this.#late(said === 0 ? 'no word' : `only ${counted(heardWords, 'word')}`, reply.text);
    }
    const fault =
      said <= words
        ? `the reply had only ${counted(said, 'word')}`
        : 'the voice had already stopped';
    throw new StepFailure([fault, heard(reply.text)]);
  }

  /** The reply when it is complete. */
  async #whole(): Promise<Answer> {
    const reply = this.#reply;
    if (!(await reply.over(this.#timeoutMs))) throw this.#late('no end of the reply', reply.text);
    this.#checkAnswer(reply);
    return reply;
  }

  async #answered(answer: Answer): Promise<undefined> {
    if (!(await answer.over(this.#timeoutMs))) throw this.#late('no answer');
    this.#checkAnswer(answer);
  }

  #checkAnswer({ failure }: Answer): void {
    if (failure === undefined) return;
    throw new StepFailure([describeFailure(failure, this.#target)], { isFatal: true });
  }

  #checkLine(): void {
    if (this.#reply.hangsUp) throw new StepFailure(['the agent has hung up'], { isFatal: true });
  }

  /** Gives up on a reply that is late. */
  #late(what: string, text?: string): StepFailure {
    this.#call.interrupt();
    const fault = `${what} after ${this.#timeoutMs / 1_000} s; raise --timeout`;
    return new StepFailure(text === undefined ? [fault] : [fault, heard(text)], { isFatal: true });
  }
}

function hasBegun({ firstWordMs, isOver }: Answer): boolean {
  return firstWordMs !== undefined || isOver;
}

export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function ms(duration: number): string {
  return `${Math.round(duration)} ms`;
}

function heard(text: string): string {
  return `heard     ${shown(text)}`;
}

function shown(text: string): string {
  return text.trim() === '' ? '(nothing)' : oneLine(text, MAX_SHOWN);
}

function listed(entries: readonly string[]): readonly string[] {
  if (entries.length === 0) return ['got       (nothing)'];
  return entries.slice(0, MAX_DATA_SHOWN).map((entry) => `got       ${oneLine(entry, MAX_SHOWN)}`);
}
