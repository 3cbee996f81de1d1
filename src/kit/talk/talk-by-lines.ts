// `talk` with lines from a pipe: each is said when the reply to the previous one is over.

import { createInterface } from 'node:readline';

import type { CallerTurn } from '../platform/caller-turn.ts';
import { EXIT, type Terminal } from '../terminal/command.ts';
import { interruptedError, paintFor, write } from '../terminal/output.ts';
import { printable } from '../terminal/text.ts';
import { describeFailure } from './call-failure.ts';
import type { CallTarget } from './call-target.ts';
import { END_TIMEOUT_MS, openCall } from './open-call.ts';

/**
 * Prints one reply per line on stdout, and everything else on stderr. Stops at the first turn that
 * fails. Resolves with the exit code.
 */
export async function talkByLines(
  target: CallTarget,
  conversationId: string,
  timeoutMs: number,
  terminal: Terminal,
): Promise<number> {
  const { stdin, stdout, stderr, environment, interrupted } = terminal;
  const paint = paintFor(stderr, environment);
  const call = openCall(target, conversationId, {
    onText: (piece) => write(stdout, printable(piece, ' ')),
    onData: (content) =>
      write(stderr, `${paint('dim', `[data] ${printable(JSON.stringify(content), ' ')}`)}\n`),
  });
  const isWell = async (answer: CallerTurn): Promise<boolean> => {
    const isOver = await answer.over(timeoutMs);
    if (isOver) call.finishPlaying(); // people read faster than a voice speaks
    else call.interrupt();
    if (answer.text !== '') stdout.write('\n');
    if (!isOver) {
      const fault = `the reply had not ended after ${timeoutMs / 1_000} s; raise --timeout`;
      stderr.write(`${paint('red', fault)}\n`);
    } else if (answer.failure !== undefined)
      stderr.write(`${paint('red', describeFailure(answer.failure, target))}\n`);
    return isOver && answer.failure === undefined;
  };
  const interrupt = (): unknown => call.interrupt();
  interrupted.addEventListener('abort', interrupt, { once: true });
  const lines = createInterface({ input: stdin, crlfDelay: Infinity, signal: interrupted });
  // Created now, or lines that arrive during the welcome are lost.
  const iterator = lines[Symbol.asyncIterator]();
  try {
    let reply = call.start();
    let isGood = await isWell(reply);
    while (isGood && reply.endsCallBy === undefined) {
      const { done, value: line } = await iterator.next();
      if (done === true || interrupted.aborted) break;
      if (line.trim() === '') continue;
      reply = call.say(line);
      isGood = await isWell(reply);
    }
    if (reply.endsCallBy !== undefined) stderr.write(`${paint('dim', '[the agent hung up]')}\n`);
    const end = call.end();
    if (isGood && !interrupted.aborted) isGood = await isWell(end);
    else await end.over(END_TIMEOUT_MS); // one failure has been reported already
    if (interrupted.aborted) throw interruptedError(interrupted);
    return isGood ? EXIT.OK : EXIT.FAILED;
  } finally {
    interrupted.removeEventListener('abort', interrupt);
    call.abandon();
    lines.close();
  }
}
