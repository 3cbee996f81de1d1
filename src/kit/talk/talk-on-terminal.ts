// `talk` for a person at a terminal: a prompt, replies as they arrive, and barge-in.

import { clearScreenDown, createInterface, cursorTo, moveCursor, type Key } from 'node:readline';

import type { Awaitable } from '../../base/awaitable.ts';
import type { CallerTurn } from '../platform/caller-turn.ts';
import type { Terminal } from '../terminal/command.ts';
import { paintFor, write } from '../terminal/output.ts';
import { printable } from '../terminal/text.ts';
import { describeFailure } from './call-failure.ts';
import type { CallTarget } from './call-target.ts';
import { END_TIMEOUT_MS, openCall } from './open-call.ts';

const AGENT = 'agent› ';
const YOU = 'you  › ';
const NEXT_LINE = `\n${' '.repeat(AGENT.length)}`;

export type TerminalTalk = ReturnType<typeof talkOnTerminal>;

/**
 * Takes over the terminal. The screen is in one of two states. Either a reply is being written and
 * there is no prompt, or there is a prompt below everything. The prompt appears when a reply ends,
 * or at the first key that is pressed during a reply. From then on the rest of the reply is held
 * back; sending the line discards it, because the caller spoke over it.
 */
export function talkOnTerminal(
  target: CallTarget,
  conversationId: string,
  { stdin, stdout, environment, interrupted }: Terminal,
) {
  const paint = paintFor(stdout, environment);
  let newest: CallerTurn | undefined;
  let hasPrompt = false;
  /** Whether the last line on the screen is a reply that has not ended. */
  let isMidLine = false;
  let held = '';
  let isQuitting = false;
  let onQuit: (() => void) | undefined;

  /** Writes a line of its own. */
  const tell = (line: string): void => tellIn('dim', line);
  const call = openCall(target, conversationId, {
    onText: speak,
    onData: (content) => tell(`[data] ${printable(JSON.stringify(content), ' ')}`),
  });
  stdin.prependListener('keypress', (_text: string | undefined, key: Key) => beforeKey(key));
  const lines = createInterface({
    input: stdin, output: stdout, terminal: true, prompt: paint('dim', YOU),
  });
  stdin.on('keypress', afterKey);
  lines.on('line', send);
  lines.on('SIGINT', interrupt);
  lines.on('close', quit); // Ctrl-D, or the terminal is gone
  interrupted.addEventListener('abort', quit, { once: true });

  function speak(piece: string): Awaitable<void> {
    if (isQuitting) return undefined;
    if (!hasPrompt) return show(piece);
    held += piece;
    return undefined;
  }

  function show(piece: string): Awaitable<void> {
    const start = isMidLine ? '' : paint('cyan', AGENT);
    isMidLine = true;
    return write(stdout, start + printable(piece, NEXT_LINE));
  }

  function showHeld(): void {
    if (held !== '') void show(held);
    held = '';
  }

  /** Waits for the end of the reply, then for the caller. */
  async function follow(reply: CallerTurn): Promise<void> {
    newest = reply;
    await reply.over();
    // If it is not the newest any more, the caller has spoken over it.
    if (reply !== newest || isQuitting) return;
    above(() => {
      showHeld();
      endLine();
    });
    tellFailure(reply);
    if (reply.endsCallBy !== undefined) {
      tell('[the agent hung up]');
      return quit();
    }
    if (reply.text === '' && reply.failure === undefined && reply.cut === undefined) {
      tell('[silence]');
    }
    prompt();
  }

  function send(line: string): void {
    hasPrompt = false;
    isMidLine = false; // the terminal echoed the end of the caller's line
    if (isQuitting) return;
    const isOver = newest?.isOver === true;
    if (line.trim() === '') {
      if (isOver) prompt();
      else showHeld();
      return;
    }
    held = '';
    if (isOver) call.finishPlaying(); // people read faster than a voice speaks
    else tell('[interrupted]');
    void follow(call.say(line));
  }

  /** Handles Ctrl-C. */
  function interrupt(): void {
    if (newest?.failure !== undefined || !call.interrupt()) return quit();
    held = '';
    if (isMidLine) stdout.write(' ');
    isMidLine = false;
    tell('[interrupted]');
  }

  function quit(): void {
    if (isQuitting) return;
    isQuitting = true;
    if (hasPrompt || isMidLine) stdout.write('\n');
    hasPrompt = isMidLine = false;
    onQuit?.();
  }

  /** During a reply, what readline draws for a key gets a separate line. */
  function beforeKey({ name = '', ctrl = false }: Key): void {
    const drawsNothing =
      name === 'return' || name === 'enter' || (ctrl && ['c', 'd', 'z'].includes(name));
    if (hasPrompt || isQuitting || drawsNothing) return;
    endLine();
    prompt();
  }

  /** If everything typed over the reply has been deleted again, the reply continues. */
  function afterKey(): void {
    if (!hasPrompt || isQuitting || lines.line !== '' || newest?.isOver !== false) return;
    erasePrompt();
    hasPrompt = false;
    showHeld();
  }

  function tellIn(style: 'dim' | 'red', line: string): void {
    above(() => {
      endLine();
      stdout.write(`${paint(style, line)}\n`);
    });
  }

  function tellFailure({ failure }: CallerTurn): void {
    if (failure !== undefined) tellIn('red', describeFailure(failure, target));
  }

  function prompt(): void {
    if (!hasPrompt) lines.prompt();
    hasPrompt = true;
  }

  function endLine(): void {
    if (isMidLine) stdout.write('\n');
    isMidLine = false;
  }

  /** Writes whole lines above the prompt, if there is one, and above what has been typed so far. */
  function above(print: () => void): void {
    if (!hasPrompt) return print();
    erasePrompt();
    print();
    lines.prompt(true);
  }

  function erasePrompt(): void {
    moveCursor(stdout, 0, -lines.getCursorPos().rows);
    cursorTo(stdout, 0);
    clearScreenDown(stdout);
    // readline moves up by this many rows before it redraws the line. The field is not in its
    // types, and versions of Node differ in what it holds.
    Object.assign(lines, { prevRows: 0 });
  }

  /** Resolves when the caller or the agent has hung up and the agent has been told. */
  async function run(): Promise<void> {
    await new Promise<void>((resolve) => {
      onQuit = resolve;
      void follow(call.start());
    });
    lines.close();
    if (newest?.isOver === true) call.finishPlaying();
    const end = call.end();
    if (await end.over(END_TIMEOUT_MS)) tellFailure(end);
    else tell(`session.end was not answered within ${END_TIMEOUT_MS / 1_000} s`);
    call.abandon();
  }

  return { tell, run };
}
