// `layercode-microserver turn`: says one thing, and prints the reply as it is spoken.

import { isId, MAX_ID_LENGTH } from '../../base/fields.ts';
import { describeFailure } from '../talk/call-failure.ts';
import { findTarget, TARGET_FLAGS } from '../talk/call-target.ts';
import { Call } from '../talk/call.ts';
import { paintFor } from '../terminal/colour.ts';
import { CommandError, EXIT, UsageError, type Command } from '../terminal/command.ts';
import { parseFlags } from '../terminal/flags.ts';
import { interruptedError, withBrokenPipes, write } from '../terminal/output.ts';
import { printable } from '../terminal/printable.ts';

const FLAGS = [...TARGET_FLAGS, '--conversation'] as const;
const DEFAULT_CONVERSATION = 'terminal';

export const turn: Command = {
  name: 'turn',
  summary: 'Say one thing to a running server, and print the reply.',
  help: `\
Usage: layercode-microserver turn <text>... [--url URL] [--secret SECRET] [--conversation ID]

Posts a signed message as LayerCode does, and prints the reply on stdout as it arrives. Data for the
browser and a hang-up are reported on stderr. The agent remembers the conversation from one turn to
the next. Ctrl-C is a caller who speaks over the reply: the request is dropped.

  --url URL            The webhook; without a path, AGENT_ROUTE is added.
                       Default: http://localhost: with PORT and AGENT_ROUTE.
  --secret SECRET      Signs the event. Default: LAYERCODE_WEBHOOK_SECRET, else the development
                       secret of this directory. Other users of the machine can read a flag.
  --conversation ID    Default: ${DEFAULT_CONVERSATION}.
  --settings-file PATH Read variables from this file instead of .env.

Examples:
  layercode-microserver turn "Hello there"
  layercode-microserver turn "And tomorrow?" --conversation c-1 --url https://voice.example

Exit codes: 0 the reply is complete, even if it is silent; 1 it was refused, broke off, or nobody
answered; 2 wrong arguments.
`,
  async run(argv, given) {
    const terminal = withBrokenPipes(given);
    const { flags, words } = parseFlags('turn', argv, FLAGS);
    const text = words.join(' ');
    if (text.trim() === '') {
      throw new UsageError('turn takes what the caller says: turn "Hello there"');
    }
    const conversationId = parseConversation(flags['--conversation']) ?? DEFAULT_CONVERSATION;
    const target = findTarget(flags, terminal);

    const { stdout, stderr, environment, interrupted } = terminal;
    const paint = paintFor(stderr, environment);
    let isMidLine = false;
    const tell = (line: string): void => {
      const lineEnd = isMidLine && stdout.isTTY === true && stderr.isTTY === true ? '\n' : '';
      stderr.write(`${lineEnd}${paint('dim', line)}\n`);
    };
    const call = new Call({
      target, conversationId,
      onText: (piece) => {
        isMidLine = true;
        return write(stdout, printable(piece, '\n'));
      },
      onData: (content) => tell(`[data] ${printable(JSON.stringify(content), ' ')}`),
    });
    const reply = call.say(text);
    interrupted.addEventListener('abort', () => call.interrupt(), { once: true });
    await reply.over();
    if (isMidLine) stdout.write('\n');
    isMidLine = false;
    if (reply.hangsUp) tell('[hang-up]');
    if (interrupted.aborted) throw interruptedError(interrupted);
    if (reply.failure !== undefined) {
      throw new CommandError(describeFailure(reply.failure, target));
    }
    return EXIT.OK;
  },
};

/** Throws a `UsageError` for a value that cannot be an id. */
export function parseConversation(given: string | undefined): string | undefined {
  if (given === undefined || isId(given)) return given;
  throw new UsageError(
    `--conversation must be an id: at most ${MAX_ID_LENGTH} characters, without control characters`,
  );
}
