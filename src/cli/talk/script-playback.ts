// `talk --script`: plays a script to an agent, and reports how each step went.

import { Call, END_TIMEOUT_MS, type Answer } from './call.ts';
import { describeFailure } from './call-failure.ts';
import type { CallTarget } from './call-target.ts';
import { paintFor } from '../terminal/colour.ts';
import { EXIT, type Terminal } from '../terminal/command.ts';
import { oneLine } from '../terminal/one-line.ts';
import { interruptedError } from '../terminal/output.ts';
import type { Step } from './talk-script.ts';

const MAX_SHOWN = 2_000;

/** The outcome of a step: a note to print next to it, or why it failed. */
type Outcome = { readonly note?: string } | Fault;

interface Fault {
  readonly fault: readonly string[];
  /** Whether the remaining steps make no sense after this. */
  readonly isFatal?: boolean;
}

/** Prints the report on stdout. Resolves with the exit code. */
export async function playScript(
  steps: readonly Step[],
  target: CallTarget,
  conversationId: string,
  timeoutMs: number,
  terminal: Terminal,
): Promise<number> {
  const { stdout, environment, interrupted } = terminal;
  const paint = paintFor(stdout, environment);
  const playback = new ScriptPlayback(target, conversationId, timeoutMs);
  const interrupt = (): void => playback.giveUp();
  interrupted.addEventListener('abort', interrupt, { once: true });
  const width = String(steps.at(-1)?.lineNumber ?? '').length;
  let failed = 0;
  let isFatal = false;

  function report(lineNumber: number | undefined, written: string, outcome: Outcome): void {
    const isGood = !('fault' in outcome);
    const mark = isGood ? paint('green', '✓') : paint('red', '✗');
    const note =
      isGood && outcome.note !== undefined ? `  ${paint('dim', `(${outcome.note})`)}` : '';
    const lines = isGood ? [] : outcome.fault;
    stdout.write(
      `${mark} ${String(lineNumber ?? '').padStart(width)}  ${oneLine(written, MAX_SHOWN)}${note}\n`,
    );
    for (const line of lines) stdout.write(`  ${' '.repeat(width)}    ${line}\n`);
    if (isGood) return;
    failed += 1;
    isFatal ||= outcome.isFatal === true;
  }

  report(undefined, 'welcome', await playback.start());
  let played = 0;
  for (const { lineNumber, written, ...action } of steps) {
    if (isFatal || interrupted.aborted) break;
    report(lineNumber, written, await playback.play({ lineNumber, written, ...action }));
    played += 1;
  }
  const end = await playback.end(isFatal || interrupted.aborted);
  if (interrupted.aborted) throw interruptedError(interrupted);
  if ('fault' in end) report(undefined, 'end', end);
  interrupted.removeEventListener('abort', interrupt);

  const rest =
    played < steps.length ? `; ${counted(steps.length - played, 'step')} not played` : '';
  const all = counted(steps.length, 'step');
  const sum =
    failed === 0
      ? paint('green', steps.length === 1 ? 'The step passed' : `All ${all} passed`)
      : paint('red', `${counted(failed, 'failure')} in ${all}`);
  stdout.write(`\n${sum}${rest}.\n`);
  return failed === 0 ? EXIT.OK : EXIT.FAILED;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

class ScriptPlayback {
  readonly #call: Call;
  readonly #webhookUrl: string;
  readonly #timeoutMs: number;
  #reply: Answer | undefined;

  constructor(target: CallTarget, conversationId: string, timeoutMs: number) {
    this.#call = new Call({
      ...target,
      conversationId,
      onText: () => undefined,
      onData: () => undefined,
    });
    this.#webhookUrl = target.webhookUrl;
    this.#timeoutMs = timeoutMs;
  }

  start(): Promise<Outcome> {
    return this.#begin(() => this.#call.start());
  }

  async play(step: Step): Promise<Outcome> {
    const reply = this.#reply;
    if (reply === undefined) throw new Error('a script is played after start()');
    switch (step.name) {
      case 'say':
        return (
          (await this.#end(reply))
          ?? this.#gone(reply)
          ?? this.#begin(() => this.#call.say(step.text))
        );
      case 'expect':
        return (await this.#end(reply)) ?? (step.expectation.matches(reply.text) ? {} : {
          fault: [`expected  ${shown(step.expectation.written)}`, `heard     ${shown(reply.text)}`],
        });
      case 'expect-data':
        return (
          (await this.#end(reply))
          ?? (reply.data.some((content) => step.expectation.matches(JSON.stringify(content)))
            ? {}
            : {
                fault: [
                  `expected  data with ${shown(step.expectation.written)}`,
                  ...listed(reply.data.map((content) => JSON.stringify(content))),
                ],
              })
        );
      case 'expect-hangup':
        return (
          (await this.#end(reply))
          ?? (reply.hangsUp
            ? {}
            : { fault: ['the agent did not hang up', `heard     ${shown(reply.text)}`] })
        );
      case 'within':
        return this.#within(reply, step.ms);
      case 'interrupt':
        return this.#interrupt(reply, step.words);
      case 'data':
        return this.#gone(reply) ?? this.#answered(this.#call.data(step.data));
    }
  }

  /** Posts the end of the call. After a failure it does not wait for the reply. */
  async end(hasFailed: boolean): Promise<Outcome> {
    const unfinished =
      this.#reply === undefined || hasFailed ? undefined : await this.#end(this.#reply);
    const end = this.#call.end();
    try {
      if (!hasFailed && unfinished === undefined) return await this.#answered(end);
      await end.over(END_TIMEOUT_MS); // one failure has been reported already
      return unfinished ?? {};
    } finally {
      this.#call.abandon();
    }
  }

  /** Stops waiting. */
  giveUp(): void {
    this.#call.interrupt();
  }

  async #begin(ask: () => Answer): Promise<Outcome> {
    const reply = (this.#reply = ask());
    const hasBegun = await reply.until(
      () => reply.firstWordMs !== undefined || reply.isOver,
      this.#timeoutMs,
    );
    if (!hasBegun) return this.#late('no word');
    if (reply.failure !== undefined) return this.#broken(reply);
    return {
      note:
        reply.firstWordMs === undefined ? 'silence' : `first word after ${ms(reply.firstWordMs)}`,
    };
  }

  /** Waits for the end of the reply. Undefined if it went well. */
  async #end(reply: Answer): Promise<Fault | undefined> {
    if (!(await reply.over(this.#timeoutMs))) return this.#late('no end of the reply', reply.text);
    return reply.failure === undefined ? undefined : this.#broken(reply);
  }

  async #answered(answer: Answer): Promise<Outcome> {
    if (!(await answer.over(this.#timeoutMs))) return this.#late('no answer');
    return answer.failure === undefined ? {} : this.#broken(answer);
  }

  async #within(reply: Answer, limitMs: number): Promise<Outcome> {
    const wasOver = await reply.until(
      () => reply.firstWordMs !== undefined || reply.isOver,
      this.#timeoutMs,
    );
    if (!wasOver) return this.#late('no word');
    if (reply.failure !== undefined) return this.#broken(reply);
    const { firstWordMs } = reply;
    if (firstWordMs !== undefined && firstWordMs <= limitMs) return {};
    return {
      fault: [
        firstWordMs === undefined
          ? 'the reply had no words'
          : `the first word took ${ms(firstWordMs)}`,
      ],
    };
  }

  /** With 0 words: at the first word, heard or not. */
  async #interrupt(reply: Answer, words: number): Promise<Outcome> {
    if (words === 0) {
      await reply.until(() => reply.firstWordMs !== undefined || reply.isOver, this.#timeoutMs);
    }
    else await reply.hearing(words, this.#timeoutMs);
    if (reply.failure !== undefined) return this.#broken(reply);
    const { said, heard } = reply.words;
    if (said > 0 && heard >= words && this.#call.interrupt()) {
      return { note: `heard ${counted(heard, 'word')}` };
    }
    if (!reply.isOver && !reply.isInterrupted) {
      return this.#late(said === 0 ? 'no word' : `only ${counted(heard, 'word')}`, reply.text);
    }
    const fault =
      said <= words
        ? `the reply had only ${counted(said, 'word')}`
        : 'the voice had already stopped';
    return { fault: [fault, `heard     ${shown(reply.text)}`] };
  }

  #gone({ hangsUp }: Answer): Fault | undefined {
    return hangsUp ? { fault: ['the agent has hung up'], isFatal: true } : undefined;
  }

  #broken({ failure }: Answer): Fault {
    return {
      fault: failure === undefined ? [] : [describeFailure(failure, this.#webhookUrl)],
      isFatal: true,
    };
  }

  /** Gives up on a reply that is late. */
  #late(what: string, text?: string): Fault {
    this.#call.interrupt();
    const fault = `${what} after ${this.#timeoutMs / 1_000} s; raise --timeout`;
    return {
      fault: text === undefined ? [fault] : [fault, `heard     ${shown(text)}`],
      isFatal: true,
    };
  }
}

function ms(duration: number): string {
  return `${Math.round(duration)} ms`;
}

function shown(text: string): string {
  return text.trim() === '' ? '(nothing)' : oneLine(text, MAX_SHOWN);
}

function listed(entries: readonly string[]): readonly string[] {
  return entries.length === 0
    ? ['got       (nothing)']
    : entries.slice(0, 20).map((entry) => `got       ${oneLine(entry, MAX_SHOWN)}`);
}
