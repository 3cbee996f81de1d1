import { setTimeout as wait } from 'node:timers/promises';

import type { ChatMessage, ChatModel } from '../../models/model.ts';
import type { Agent, MessageTurn, Reply } from '../agent.ts';
import { defineAgent } from '../define-agent.ts';
import { withFiller } from '../filler.ts';
import { toChatMessages } from '../history-for-model.ts';
import { streamTexts } from '../model-agent.ts';
import { DEFAULT_FILLER, WELCOME_BACK } from '../phrases.ts';
import { Voice } from '../voice.ts';
import { readPrompt } from './assets.ts';
import { EagerStream } from './eager-stream.ts';

interface Relay {
  readonly fast: ChatModel;
  readonly slow: ChatModel;
  readonly fastPrompt: string;
  readonly slowPrompt: string;
}

/** `OK` or a beginning of it, with any quotes and punctuation around it. */
const VERDICT = /^[\s"'*`“‘]*(?:o(?:k[\s.!"'*`”’]*)?)?$/i;
const MAX_STALL_MS = 1_000;
const SENTENCE_END = /[.!?…。！？]["'”’)]*\s*$/;

/** How two models share a turn, by the agent's name. */
const MODES = {
  relay: {
    description: 'A fast model acknowledges at once, a slow one answers.',
    prompts: ['relay-echo', 'relay-slow'],
    speak: bridge,
  },
  'relay:shadow': {
    description: 'A fast model narrates while a slow one works out the answer.',
    prompts: ['relay-shadow', 'relay-slow'],
    speak: bridge,
  },
  'relay:speculative': {
    description: 'A fast model answers, a slow one corrects it aloud when it was wrong.',
    prompts: ['relay-speculative', 'relay-verify'],
    speak: speculate,
  },
} as const;

/**
 * Speaks at once with `FAST_MODEL` and leaves the substance to `SLOW_MODEL`. Each defaults to the
 * settings' model.
 */
export function createRelay(name: keyof typeof MODES): Agent {
  const { description, prompts: [fastPrompt, slowPrompt], speak } = MODES[name];
  const unbound: Agent = defineAgent({
    name,
    description,
    onSessionStart: ({ isResumed }) =>
      isResumed ? WELCOME_BACK : 'Hello! What would you like to know?',
    onMessage: () => {
      throw new Error(
        'agent "relay" uses two models, but was not bound to them: serve it with createApp',
      );
    },
    bind(resources) {
      const fast = resources.openModel(resources.fastModel);
      const slow = resources.openModel(resources.slowModel);
      const relay: Relay = {
        fast,
        slow,
        fastPrompt: readPrompt(fastPrompt),
        slowPrompt: readPrompt(slowPrompt),
      };
      return {
        ...unbound,
        model: pair(fast, slow),
        onSessionStart: (turn, reply) => {
          void fast.warm(turn.signal); // never rejects
          void slow.warm(turn.signal);
          return unbound.onSessionStart?.(turn, reply);
        },
        onMessage: (turn, reply) =>
          withFiller(turn, DEFAULT_FILLER, resources.fillerAfterMs, () =>
            speak(relay, turn, reply)),
      };
    },
  });
  return unbound;
}

/** Both models as one, for `/ready`, because the relay needs both. */
function pair(fast: ChatModel, slow: ChatModel): ChatModel {
  return {
    name: `${fast.name}+${slow.name}`,
    stream: (messages, options) => slow.stream(messages, options),
    warm: async (signal) => void (await Promise.all([fast.warm(signal), slow.warm(signal)])),
    problems: () => [...new Set([...fast.problems(), ...slow.problems()])],
    isUsable: () => fast.isUsable() && slow.isUsable(),
  };
}

/**
 * The slow model starts thinking at once, while the fast one acknowledges, or narrates, as its
 * prompt says.
 */
async function bridge(relay: Relay, turn: MessageTurn, reply: Reply): Promise<void> {
  const { fast, slow, fastPrompt, slowPrompt } = relay;
  const ask = (model: ChatModel, prompt: string): EagerStream =>
    new EagerStream(streamTexts(model, toChatMessages(prompt, turn.history), turn));
  const substance = ask(slow, slowPrompt);
  const narration = ask(fast, fastPrompt);
  const voice = new Voice(reply);
  try {
    await narrate(narration, substance, voice, reply);
  } catch (error) {
    // Only the narration failed. The answer is still to come, and reports its own failure.
    if (!reply.isOver) turn.log.warn('the fast model of the relay failed', { error });
  } finally {
    await narration.cancel();
  }
  voice.breakOff();
  const narrated = voice.spoken;
  await speakAll(substance.texts(), voice, reply);
  if (!reply.isOver && voice.spoken.slice(narrated.length).trim() === '') {
    throw new Error('the slow model of the relay said nothing that can be spoken');
  }
}

/** Narrates until the slow model is ready, and then to the end of the sentence. */
async function narrate(
  narration: EagerStream,
  substance: EagerStream,
  voice: Voice,
  reply: Reply,
): Promise<void> {
  const texts = narration.texts();
  while (!reply.isOver) {
    const next = texts.next();
    next.catch(() => undefined); // may be left pending
    const mayCut = voice.spoken === '' || SENTENCE_END.test(voice.spoken);
    const patienceMs = mayCut ? 0 : MAX_STALL_MS;
    const enough = substance.ready.then(() => wait(patienceMs, undefined, { ref: false }));
    const first = await Promise.race([next, enough]);
    if (first === undefined || (mayCut && substance.isReady)) return;
    await (first.done === true ? voice.finish() : voice.speak(first.value));
    if (first.done === true) return;
  }
}

/**
 * Speaks the fast answer at once, then the slow model's verdict on it: silence, or a correction.
 */
async function speculate(relay: Relay, turn: MessageTurn, reply: Reply): Promise<void> {
  const { fast, slow, fastPrompt, slowPrompt } = relay;
  const voice = new Voice(reply);
  await speakAll(streamTexts(fast, toChatMessages(fastPrompt, turn.history), turn), voice, reply);
  if (reply.isOver) return;
  const answer = voice.spoken;
  if (answer.trim() === '') {
    throw new Error('the fast model of the relay said nothing that can be spoken');
  }
  const messages: ChatMessage[] = [
    ...toChatMessages(slowPrompt, turn.history),
    { role: 'assistant', content: answer },
    { role: 'user', content: 'Check the last answer.' },
  ];
  try {
    await speakAll(unlessVerdict(streamTexts(slow, messages, turn)), voice, reply);
  } catch (error) {
    if (reply.isOver) return;
    // The caller has an answer. An apology for a failed check would only confuse them.
    turn.log.warn('the slow model of the relay could not check the answer', { error });
  }
}

async function speakAll(texts: AsyncIterable<string>, voice: Voice, reply: Reply): Promise<void> {
  for await (const text of texts) {
    if (reply.isOver) return;
    await voice.speak(text);
  }
  await voice.finish();
}

/**
 * Yields nothing if the text is just `OK`, with or without punctuation. Any other text is passed
 * on as it arrives, held back only while it could still be `OK`.
 */
async function* unlessVerdict(
  texts: AsyncIterable<string>,
): AsyncGenerator<string, void, undefined> {
  let held: string | undefined = '';
  for await (const text of texts) {
    if (held === undefined) yield text;
    else {
      held += text;
      if (VERDICT.test(held)) continue;
      yield held;
      held = undefined;
    }
  }
}
