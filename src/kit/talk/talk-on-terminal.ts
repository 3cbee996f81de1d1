// `talk` for a person at a terminal: a prompt, replies as they arrive, and barge-in.

import {
  clearScreenDown, createInterface, cursorTo, moveCursor, type Interface, type Key,
} from 'node:readline';

import type { Awaitable } from '../../base/awaitable.ts';
import type { CallerSession } from '../platform/caller-session.ts';
import type { CallerTurn } from '../platform/caller-turn.ts';
import type { Terminal } from '../terminal/command.ts';
import { paintFor, write, type Paint } from '../terminal/output.ts';
import { printable } from '../terminal/text.ts';
import { describeFailure } from './call-failure.ts';
import type { CallTarget } from './call-target.ts';
import { END_TIMEOUT_MS, openCall } from './open-call.ts';

const AGENT = 'agent› ';
const YOU = 'you  › ';
const NEXT_LINE = `\n${' '.repeat(AGENT.length)}`;

/**
 * The screen is in one of two states. Either a reply is being written and there is no prompt, or
 * there is a prompt below everything. The prompt appears when a reply ends, or at the first key
 * that is pressed during a reply. From then on the rest of the reply is held back; sending the line
 * discards it, because the caller spoke over it.
 */
export class TerminalTalk {
  readonly #output: Terminal['stdout'];
  readonly #lines: Interface;
  readonly #paint: Paint;
  readonly #call: CallerSession;
  readonly #target: CallTarget;
  #reply: CallerTurn | undefined;
  #hasPrompt = false;
  /** Whether the last line on the screen is a reply that has not ended. */
  #isMidLine = false;
  #held = '';
  #isQuitting = false;
  #onQuit: (() => void) | undefined;

  /** Takes over the terminal. */
  constructor(
    target: CallTarget,
    conversationId: string,
    { stdin, stdout, environment, interrupted }: Terminal,
  ) {
    this.#output = stdout;
    this.#paint = paintFor(stdout, environment);
    this.#target = target;
    this.#call = openCall(target, conversationId, {
      onText: (piece) => this.#speak(piece),
      onData: (content) => this.tell(`[data] ${printable(JSON.stringify(content), ' ')}`),
    });
    stdin.prependListener('keypress', (_text: string | undefined, key: Key) =>
      this.#beforeKey(key),
    );
    this.#lines = createInterface({
      input: stdin,
      output: stdout,
      terminal: true,
      prompt: this.#paint('dim', YOU),
    });
    stdin.on('keypress', () => this.#afterKey());
    this.#lines.on('line', (line) => this.#send(line));
    this.#lines.on('SIGINT', () => this.#interrupt());
    this.#lines.on('close', () => this.#quit()); // Ctrl-D, or the terminal is gone
    interrupted.addEventListener('abort', () => this.#quit(), { once: true });
  }

  /** Writes a line of its own. */
  readonly tell = (line: string): void => this.#tell('dim', line);

  /** Resolves when the caller or the agent has hung up and the agent has been told. */
  async run(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onQuit = resolve;
      void this.#follow(this.#call.start());
    });
    this.#lines.close();
    if (this.#reply?.isOver === true) this.#call.finishPlaying();
    const end = this.#call.end();
    if (await end.over(END_TIMEOUT_MS)) this.#tellFailure(end);
    else this.tell(`session.end was not answered within ${END_TIMEOUT_MS / 1_000} s`);
    this.#call.abandon();
  }

  #speak(piece: string): Awaitable<void> {
    if (this.#isQuitting) return undefined;
    if (!this.#hasPrompt) return this.#write(piece);
    this.#held += piece;
    return undefined;
  }

  #write(piece: string): Awaitable<void> {
    const start = this.#isMidLine ? '' : this.#paint('cyan', AGENT);
    this.#isMidLine = true;
    return write(this.#output, start + printable(piece, NEXT_LINE));
  }

  #writeHeld(): void {
    if (this.#held !== '') void this.#write(this.#held);
    this.#held = '';
  }

  /** Waits for the end of the reply, then for the caller. */
  async #follow(reply: CallerTurn): Promise<void> {
    this.#reply = reply;
    await reply.over();
    // The caller spoke over it, and the next reply has begun.
    if (reply !== this.#reply || this.#isQuitting) return;
    this.#above(() => {
      this.#writeHeld();
      this.#endLine();
    });
    this.#tellFailure(reply);
    if (reply.endsCallBy !== undefined) {
      this.tell('[the agent hung up]');
      return this.#quit();
    }
    if (reply.text === '' && reply.failure === undefined && reply.cut === undefined) {
      this.tell('[silence]');
    }
    this.#prompt();
  }

  #send(line: string): void {
    this.#hasPrompt = false;
    this.#isMidLine = false; // the terminal echoed the end of the caller's line
    if (this.#isQuitting) return;
    const isOver = this.#reply?.isOver === true;
    if (line.trim() === '') {
      if (isOver) this.#prompt();
      else this.#writeHeld();
      return;
    }
    this.#held = '';
    if (isOver) this.#call.finishPlaying(); // people read faster than a voice speaks
    else this.tell('[interrupted]');
    void this.#follow(this.#call.say(line));
  }

  /** Handles Ctrl-C. */
  #interrupt(): void {
    if (this.#reply?.failure !== undefined || !this.#call.interrupt()) return this.#quit();
    this.#held = '';
    if (this.#isMidLine) this.#output.write(' ');
    this.#isMidLine = false;
    this.tell('[interrupted]');
  }

  #quit(): void {
    if (this.#isQuitting) return;
    this.#isQuitting = true;
    if (this.#hasPrompt || this.#isMidLine) this.#output.write('\n');
    this.#hasPrompt = this.#isMidLine = false;
    this.#onQuit?.();
  }

  /** During a reply, what readline draws for the key gets a separate line. */
  #beforeKey({ name = '', ctrl = false }: Key): void {
    const drawsNothing =
      name === 'return' || name === 'enter' || (ctrl && ['c', 'd', 'z'].includes(name));
    if (this.#hasPrompt || this.#isQuitting || drawsNothing) return;
    this.#endLine();
    this.#prompt();
  }

  /** If everything typed over the reply has been deleted again, the reply continues. */
  #afterKey(): void {
    if (
      !this.#hasPrompt
      || this.#isQuitting
      || this.#lines.line !== ''
      || this.#reply?.isOver !== false
    )
      return;
    this.#erasePrompt();
    this.#hasPrompt = false;
    this.#writeHeld();
  }

  #tell(style: 'dim' | 'red', line: string): void {
    this.#above(() => {
      this.#endLine();
      this.#output.write(`${this.#paint(style, line)}\n`);
    });
  }

  #tellFailure({ failure }: CallerTurn): void {
    if (failure !== undefined) this.#tell('red', describeFailure(failure, this.#target));
  }

  #prompt(): void {
    if (!this.#hasPrompt) this.#lines.prompt();
    this.#hasPrompt = true;
  }

  #endLine(): void {
    if (this.#isMidLine) this.#output.write('\n');
    this.#isMidLine = false;
  }

  /** Writes whole lines above the prompt, if there is one, and what has been typed so far. */
  #above(print: () => void): void {
    if (!this.#hasPrompt) return print();
    this.#erasePrompt();
    print();
    this.#lines.prompt(true);
  }

  #erasePrompt(): void {
    moveCursor(this.#output, 0, -this.#lines.getCursorPos().rows);
    cursorTo(this.#output, 0);
    clearScreenDown(this.#output);
    // readline moves up by this many rows before it redraws the line. The field is not in its
    // types, and Nodes differ in what it holds.
    Object.assign(this.#lines, { prevRows: 0 });
  }
}
