import type { Awaitable } from '../../base/awaitable.ts';
import type { JsonObject } from '../../base/json.ts';
import type { TurnState } from '../../core/conversations/message.ts';
import type { ScriptedAnswer } from '../scripted-answer.ts';
import type { Mock } from './stand-in-lines.ts';
import type { ToolMoment } from './steps.ts';

/** Where the agent is called. */
export interface Address {
  readonly origin: string;
  /** The agent's path. */
  readonly route: string;
}

/** What can happen to an agent that has a process of its own, and a store that is a file. */
export interface OwnProcess {
  /** Kills the process and continues in another. */
  kill(): Promise<Address>;
  /**
   * Continues in the other of the two processes on the same store, while the first one lives on.
   */
  switch(): Promise<Address>;
  /**
   * The store accepts no writes for this long. `Infinity`: until the next call; 0: it accepts them
   * again.
   */
  stall(awayMs: number): Promise<void>;
}

/** The agent's side of a scenario, in this process or in one of its own. */
export interface Stage {
  /** Serves the agent. */
  open(): Promise<Address>;
  /** What a scripted model answers from now on. */
  prepare(answers: readonly ScriptedAnswer[]): Awaitable<void>;
  /** The number of answers that have not been asked for. */
  answersLeft(): Awaitable<number>;
  /** Replaces what a tool does from now on. */
  mock(mock: Mock): Awaitable<void>;
  /** Keeps the next run of the tool from acting or from returning, until `release`. */
  hold(moment: ToolMoment): Awaitable<void>;
  release(): Awaitable<void>;
  /**
   * Waits until no turn of the conversation is running. False if one still is after the timeout.
   */
  settled(conversationId: string, timeoutMs: number): Promise<boolean>;
  /** How the turn stands. Undefined if it left nothing. */
  turnState(conversationId: string, turnId: string): Promise<TurnState | undefined>;
  /** The agent's state, as stored. */
  state(conversationId: string): Promise<JsonObject | undefined>;
  /** Closes the app and opens another one on the same store. */
  restart(): Promise<Address>;
  /** Undefined if the stage is in this process. */
  readonly own?: OwnProcess;
  /** Closes the app and forgets what was stored. */
  close(): Promise<void>;
}
