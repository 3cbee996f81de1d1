// `layercode-microserver talk`: a conversation with an agent from a terminal, a pipe or a script.

import { randomUUID } from 'node:crypto';

import { WORDS_PER_MINUTE } from '../platform/simulated-voice.ts';
import { openTarget, TARGET_FLAGS } from '../talk/call-target.ts';
import { CALLER_FLAGS, parseCallerFlags } from '../talk/caller-flags.ts';
import { playScript } from '../talk/play-script.ts';
import { talkByLines } from '../talk/talk-by-lines.ts';
import { talkOnTerminal, type TerminalTalk } from '../talk/talk-on-terminal.ts';
import { readTalkScript } from '../talk/talk-script.ts';
import { parseWireFlags, PROFILE_NAMES, WIRE_FLAGS, WIRE_SWITCHES } from '../talk/wire-flags.ts';
import { EXIT, UsageError, type Command } from '../terminal/command.ts';
import { parseFlags, parseTimeout, TIMEOUT_SECONDS } from '../terminal/flags.ts';
import { interruptedError, paintFor, withBrokenPipes } from '../terminal/output.ts';
import { parseConversation } from './turn.ts';

const FLAGS = [
  ...TARGET_FLAGS, ...WIRE_FLAGS, ...CALLER_FLAGS, '--conversation', '--agent', '--script',
  '--timeout',
] as const;

export const talk: Command = {
  name: 'talk',
  summary: 'Talk to an agent from the terminal, a pipe or a script.',
  help: `\
Usage: layercode-microserver talk [--url URL] [--secret SECRET] [--conversation ID] [--agent AGENT]
                                  [--from NUMBER] [--metadata JSON]
                                  [--script FILE [--timeout SECONDS]]
       layercode-microserver talk --wire chat-completions [--profile NAME] [--key KEY] [--retry]
                                  [--speculate] [--url URL] …

Calls an agent as LayerCode does for a caller in text mode, or as platforms that speak Chat
Completions do. Without --url it calls the server on this machine, http://localhost:PORT. If none
answers, it starts one for this talk.

  --url URL            The webhook; without a path, AGENT_ROUTE is added.
  --secret SECRET      Signs the events. Default: LAYERCODE_WEBHOOK_SECRET, else the development
                       secret of this directory. Other users of this machine can see flags.
  --conversation ID    Continues a conversation. Default: a new one.
  --from NUMBER        The number that the caller calls from. Default: none, as from a browser.
  --metadata JSON      What the platform knows about the call: an object such as {"plan":"gold"}.
  --agent AGENT        Starts a server with this agent: one of AGENTS, a built-in name or the path
                       of a module.
  --script FILE        Plays a script, see below.
  --timeout SECONDS    The longest a reply may take in a script or with piped lines.
                       Default: ${TIMEOUT_SECONDS}.
  --settings-file PATH Read variables from this file instead of .env.

  --wire WIRE          layercode (the default) or chat-completions. With chat-completions:
  --profile NAME       The platform to imitate: ${PROFILE_NAMES.join(', ')}.
                       Must match the server's. Default: CHAT_COMPLETIONS_PROFILE.
  --key KEY            Sent as a bearer token. Default: the first of CHAT_COMPLETIONS_KEYS.
  --retry              Sends each request twice, like a client that retries.
  --speculate          Sends each message first without its last word, then whole.

On a terminal, sending a line while a voice would still be speaking interrupts the reply, and so
does Ctrl-C. Ctrl-C while nobody speaks hangs up; Ctrl-D hangs up at any time. Piped lines are said
one by one, each when the reply to the previous one is over. Replies go to stdout, one per line, and
everything else goes to stderr. A turn that is refused or breaks off ends the talk. An apology is a
reply like any other, so a script should expect what the agent ought to say.

A script has one step per line. Blank lines are ignored, and so is everything after a # at the
beginning of a line or after two spaces. Steps refer to the reply to the last "say", or to the
welcome. The playground exports a talk as a script, and "eval" plays the same language with more
steps to a server of its own.

  say TEXT                 The caller says this once the previous reply is over.
  expect TEXT              The complete reply contains this, ignoring case. /TEXT/ is a JavaScript
                           pattern; the flags i, m, s and u may follow.
  expect-not TEXT          It does not; "never TEXT": no reply of the call does.
  expect-data TEXT         Some data of the reply contains this, as JSON without spaces. If TEXT is
                           an object, some data has at least its fields. Also: expect-no-data TEXT.
  expect-hangup            The agent hangs up with this reply.
  within 2 s               Its first word arrives in this time; also: within 800 ms.
  ends-within 5 s          The whole reply does.
  interrupt                The caller speaks over the reply as soon as it begins.
  interrupt after 3 words  The same, once 3 of its words could have been heard, at
                           ${WORDS_PER_MINUTE} words a minute.
  data JSON                The caller's page sends an object; the reply is not awaited. Only on
                           LayerCode. On Chat Completions, expect-data sees a transfer.

    expect Welcome             # what the agent says first
    say Tell me a long story
    within 1.5 s
    interrupt after 3 words
    say Book a table for two
    expect /table for (2|two)/i
    expect-data "status":"booked"

Examples:
  layercode-microserver talk
  layercode-microserver talk --agent ./my-agent.js
  echo "Hello there" | layercode-microserver talk --url https://voice.example
  layercode-microserver talk --url https://voice.example --script smoke.txt
  layercode-microserver talk --wire chat-completions --profile vapi --retry

Exit codes: 0 success, and always on a terminal; 1 a turn was refused or broke off, an expectation
was not met, or a signal ended the talk; 2 the arguments or the script are wrong.
`,
  async run(argv, plainTerminal) {
    const terminal = withBrokenPipes(plainTerminal);
    const { flags, switches, words } = parseFlags('talk', argv, FLAGS, WIRE_SWITCHES);
    if (words.length > 0) {
      throw new UsageError('talk takes only flags; to say just one thing: turn "Hello there"');
    }
    const completions = parseWireFlags(flags, switches);
    const secret = completions === undefined ? '--secret' : '--key';
    if (flags['--agent'] !== undefined && (flags['--url'] ?? flags[secret]) !== undefined) {
      throw new UsageError(
        `--agent starts a server of its own, so it goes with neither --url nor ${secret}`,
      );
    }
    const conversationId = parseConversation(flags['--conversation']) ?? randomUUID();
    const caller = parseCallerFlags(flags);
    const timeoutMs = parseTimeout(flags['--timeout']);
    const { '--script': path } = flags;
    const script = path === undefined
      ? undefined : readTalkScript(path, terminal.directory, completions === undefined);
    const { stdin, stdout, environment } = terminal;
    const isOnTerminal =
      script === undefined
      && stdin.isTTY === true
      && stdout.isTTY === true
      && environment['TERM'] !== 'dumb';

    let screen: TerminalTalk | undefined;
    const tell = (line: string): void => {
      if (screen !== undefined) return screen.tell(line);
      const stream = isOnTerminal ? stdout : terminal.stderr;
      stream.write(`${paintFor(stream, environment)('dim', line)}\n`);
    };
    const opened = await openTarget(flags, completions, terminal, tell);
    const target = { ...opened, caller };
    try {
      if (terminal.interrupted.aborted) throw interruptedError(terminal.interrupted);
      if (script !== undefined) {
        return await playScript(script, target, conversationId, timeoutMs, terminal);
      }
      if (!isOnTerminal) return await talkByLines(target, conversationId, timeoutMs, terminal);
      screen = talkOnTerminal(target, conversationId, terminal);
      await screen.run();
      return EXIT.OK;
    } finally {
      await target.close();
    }
  },
};
