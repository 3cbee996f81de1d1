// What is seen of the agent's side of a call.

import type { ChatMessage } from '../../models/model.ts';
import type { Tokens, ToolRunSeen } from './result.ts';

/** Distinguishes runs of tools, also those of several processes: that of the process is first. */
export type RunId = `${number}.${number}`;

/** Plain JSON: the agent may run in another process. */
export type Sight =
  /** A tool begins to run, or would have, with arguments that fit. */
  | {
      readonly type: 'tool';
      readonly id: RunId;
      readonly tool: string;
      readonly args: unknown;
      /** Equal for calls that must act only once together. */
      readonly onceKey: string | undefined;
    }
  /** It did not run. */
  | { readonly type: 'tool-refused'; readonly run: ToolRunSeen }
  | {
      readonly type: 'tool-over';
      readonly id: RunId;
      readonly state: 'completed' | 'failed';
      readonly result: unknown;
      /** False if the tool says that it had no effect. */
      readonly hasActed: boolean;
    }
  /**
   * A run is kept from returning until the stage lets it go on. `isShown`: the caller's page
   * knows that it runs.
   */
  | { readonly type: 'tool-held'; readonly tool: string; readonly isShown: boolean }
  /** A tool with effects was called although nothing says what it may do. It did not run. */
  | { readonly type: 'tool-barred'; readonly tool: string }
  /** A process is killed, by its id: runs that were under way in it are lost. */
  | { readonly type: 'killed'; readonly process: number }
  /** `sent` is the rest of the request, for a golden file; empty if there is none. */
  | {
      readonly type: 'asked';
      readonly messages: readonly ChatMessage[];
      readonly sent: string;
    }
  /** A scripted model was asked once more than there are answers. */
  | { readonly type: 'unscripted' }
  /** An answer was cut at the model's limit. */
  | { readonly type: 'cut' }
  | { readonly type: 'used'; readonly tokens: Tokens }
  | { readonly type: 'logged'; readonly line: string };

export type OnSight = (sight: Sight) => void;
