// `layercode-microserver turn`: says one thing, and prints the reply as it is spoken.

import { isId, MAX_ID_LENGTH } from '../../base/fields.ts';
import type { CallerTurn } from '../platform/caller-turn.ts';
import { describeFailure } from '../talk/call-failure.ts';
import { findTarget, TARGET_FLAGS } from '../talk/call-target.ts';
import { forgetCall, keepCall, readKeptCall } from '../talk/kept-call.ts';
import { openCall } from '../talk/open-call.ts';
import { CommandError, EXIT, UsageError, type Command } from '../terminal/command.ts';
import { parseFlags } from '../terminal/flags.ts';
import { interruptedError, paintFor, withBrokenPipes, write } from '../terminal/output.ts';
import { counted, printable } from '../terminal/text.ts';

const FLAGS = [...TARGET_FLAGS, '--conversation', '--interrupt-after'] as const;
const SWITCHES = ['--begin', '--end'] as const;
const DEFAULT_CONVERSATION = 'terminal';
const MAX_HEARING_MS = 3_600_000;

export const turn: Command = {
  name: 'turn',
  summary: 'Say one thing to a running server, and print the reply.',
  help: `\
Usage: layercode-microserver turn [--begin] [<text>...] [--end] [--interrupt-after WORDS]
                                  [--url URL] [--secret SECRET] [--conversation ID]

Posts a signed message as LayerCode does, and prints the reply on stdout as it arrives. Data for the
browser and a hang-up are reported on stderr. The agent remembers the conversation from one turn to
the next. Ctrl-C acts like a caller who speaks over the reply: the request is dropped.

  --begin              The call begins: prints the welcome first.
  --end                The call ends after this.
  --interrupt-after WORDS
                       The caller speaks over the reply once a voice has said this many words. The
                       next turn tells the agent what was heard.
  --url URL            The webhook; without a path, AGENT_ROUTE is added.
                       Default: http://localhost:PORT with AGENT_ROUTE.
  --secret SECRET      Signs the event. Default: LAYERCODE_WEBHOOK_SECRET, else the development
                       secret of this directory. Other users of this machine can see flags.
  --conversation ID    Default: ${DEFAULT_CONVERSATION}.
  --settings-file PATH Read variables from this file instead of .env.

Examples:
  layercode-microserver turn "Hello there"
  layercode-microserver turn "And tomorrow?" --conversation c-1 --url https://voice.example
  layercode-microserver turn --begin --conversation c-2
  layercode-microserver turn "Tell me a story" --interrupt-after 4 --conversation c-2
  layercode-microserver turn "Thanks, bye" --end --conversation c-2

Exit codes: 0 the reply is complete, even if it is silent; 1 it was refused, broke off, or nobody
answered; 2 wrong arguments.
`,
  async run(argv, plainTerminal) {
    const terminal = withBrokenPipes(plainTerminal);
    const { flags, switches, words } = parseFlags('turn', argv, FLAGS, SWITCHES);
    const text = words.join(' ').trim();
    const wordsHeard = parseWords(flags['--interrupt-after']);
    if (text === '' && (switches.size === 0 || wordsHeard !== undefined)) {
      throw new UsageError('turn takes what the caller says: turn "Hello there"');
    }
    const conversationId = parseConversation(flags['--conversation']) ?? DEFAULT_CONVERSATION;
    const target = findTarget(flags, undefined, terminal);

    const { stdout, stderr, environment, interrupted, directory } = terminal;
    const paint = paintFor(stderr, environment);
    let isMidLine = false;
    const tell = (line: string): void => {
      const lineEnd = isMidLine && stdout.isTTY === true && stderr.isTTY === true ? '\n' : '';
      stderr.write(`${lineEnd}${paint('dim', line)}\n`);
    };
    const kept = switches.has('--begin') ? undefined : readKeptCall(directory, conversationId);
    const call = openCall(target, conversationId, {
      onText(piece) {
        isMidLine = true;
        return write(stdout, printable(piece, '\n'));
      },
      onData: (content) => tell(`[data] ${printable(JSON.stringify(content), ' ')}`),
    }, kept);
    interrupted.addEventListener('abort', () => call.interrupt(), { once: true });
    const finish = async (reply: CallerTurn): Promise<void> => {
      await reply.over();
      call.finishPlaying(); // people read faster than a voice speaks
      if (isMidLine) stdout.write('\n');
      isMidLine = false;
      if (reply.endsCallBy !== undefined) tell('[hang-up]');
      const { id: sessionId, interruption } = call;
      const { failure } = reply;
      if (failure === undefined) keepCall(directory, conversationId, { sessionId, interruption });
      if (interrupted.aborted) throw interruptedError(interrupted);
      if (failure !== undefined) throw new CommandError(describeFailure(failure, target));
    };
    if (switches.has('--begin')) await finish(call.start());
    if (text !== '') {
      const reply = call.say(text);
      if (wordsHeard !== undefined) {
        if ((await reply.hear(wordsHeard, MAX_HEARING_MS)) && call.interrupt())
          tell(`[interrupted after ${counted(reply.words.heard, 'word')}]`);
        else tell(`[not interrupted: the reply had ${counted(reply.words.said, 'word')}]`);
      }
      await finish(reply);
    }
    if (switches.has('--end')) {
      await finish(call.end());
      forgetCall(directory, conversationId);
    }
    return EXIT.OK;
  },
};

function parseWords(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (/^[1-9]\d{0,3}$/.test(value)) return Number(value);
  throw new UsageError('--interrupt-after must be a number of words from 1 to 9999');
}

/** Throws a `UsageError` for a value that cannot be an id. */
export function parseConversation(value: string | undefined): string | undefined {
  if (value === undefined || isId(value)) return value;
  throw new UsageError(
    `--conversation must be an id: at most ${MAX_ID_LENGTH} characters, without control characters`,
  );
}
