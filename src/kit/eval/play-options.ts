// The app that a scenario is played to, and the options.

import type { Agent } from '../../core/agents/agent.ts';
import type { ChatModel } from '../../core/models/model.ts';
import type { NamedAgents } from '../../server/app/assemble-app.ts';
import type { Settings } from '../../server/settings/settings.ts';
import type { JudgeLine } from './check-steps.ts';
import type { CompareRequests } from './golden-requests.ts';
import type { Notes } from './notebook.ts';
import type { PlayedCaller } from './played-caller.ts';
import type { Outcome, PlayedTurn } from './result.ts';
import type { Scenario } from './scenario.ts';
import type { Access } from './stage-settings.ts';
import type { Stage } from './stage.ts';

/** What an app is made of. Each scenario gets an app of its own. */
export interface Cast {
  readonly settings: Settings;
  readonly agent: Agent | NamedAgents;
}

/** Whether what was said meets the condition of a `judge` line. */
export interface Verdict {
  readonly outcome: Outcome;
  readonly reason: string;
}

/** `turns` are those played so far; the question is about the last one. */
export type Judge = (
  question: JudgeLine, turns: readonly PlayedTurn[], scenario: Scenario,
) => Promise<Verdict>;

/** Opens a stage other than one in this process. Its clock is ahead by `aheadMs`. */
export type OpenStage = (
  scenario: Scenario,
  access: Access,
  notes: Notes,
  aheadMs: number | undefined,
) => Stage;

export interface PlayOptions {
  /** The longest time that a reply may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Whether tools with effects run without a line that allows it. */
  readonly allowsRealTools: boolean;
  /** Stands in for one of the agent's own models, to record or replay it. */
  readonly modelFor?: ((own: ChatModel) => ChatModel) | undefined;
  /** Decides `judge` lines. A scenario that has one is refused without it. */
  readonly judge?: Judge | undefined;
  /** Decides `expect-same-request` lines. A scenario that has one needs it. */
  readonly golden?: CompareRequests | undefined;
  /** Decides what a played caller says. A scenario that has one is refused without it. */
  readonly playedCaller?: PlayedCaller | undefined;
  /** Where the agent runs. A scenario that kills its process is refused without it. */
  readonly openStage?: OpenStage | undefined;
  readonly signal?: AbortSignal | undefined;
}
