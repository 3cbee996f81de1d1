import type { JsonObject } from '../../base/json.ts';
import type { Caller } from '../eval/caller.ts';
import type { Stage } from '../eval/stage.ts';
import type { CallerSession } from '../platform/caller-session.ts';
import type { CallerTurn, CallFailure } from '../platform/caller-turn.ts';
import { describeFailure } from './call-failure.ts';
import type { CallTarget } from './call-target.ts';

/** The caller of a script: hears replies at the pace of a voice. */
export class ScriptCaller implements Caller {
  readonly turnId = undefined; // nobody asks what became of it
  readonly conversationId: string;
  readonly #call: CallerSession;
  readonly #target: CallTarget;

  constructor(call: CallerSession, target: CallTarget, conversationId: string) {
    this.conversationId = conversationId;
    this.#call = call;
    this.#target = target;
  }

  /** What was not spoken over was heard: nobody plays it. */
  say(words: string | undefined): CallerTurn {
    if (words === undefined) return this.#call.start();
    this.#call.finishPlaying();
    return this.#call.say(words);
  }

  deliverAgain(): CallerTurn {
    throw new Error('a script of talk delivers nothing again');
  }

  async hear(reply: CallerTurn, words: number, timeoutMs: number): Promise<boolean> {
    if (words > 0) await reply.hearing(words, timeoutMs);
    else await reply.until(() => reply.firstWordMs !== undefined || reply.isOver, timeoutMs);
    return reply.firstWordMs !== undefined && reply.words.heard >= words && reply.isHeard;
  }

  interrupt(): void {
    this.#call.interrupt();
  }

  data(data: JsonObject): CallerTurn {
    return this.#call.data(data);
  }

  end(): CallerTurn {
    this.#call.finishPlaying();
    return this.#call.end();
  }

  explain(failure: CallFailure): string {
    return describeFailure(failure, this.#target);
  }
}

const nothing = (): undefined => undefined;

/** A server that is not ours: nothing of it is seen but its replies. */
export const NO_STAGE: Stage = {
  open: async () => NOWHERE,
  restart: async () => NOWHERE,
  answersLeft: () => 0,
  settled: async () => true,
  turnState: async () => undefined,
  state: async () => undefined,
  close: async () => undefined,
  prepare: nothing,
  mock: nothing,
  hold: nothing,
  release: nothing,
};

const NOWHERE = { origin: '', route: '' };
