// The models of one run, the agent's own and that of the evals: asked, recorded or replayed.

import { readFileSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';

import { codeOf, messageOf } from '../../base/thrown-values.ts';
import type { ChatModel } from '../../models/model.ts';
import { modelJudge } from './judge.ts';
import { ModelRecorder } from './model-recorder.ts';
import { ModelReplayer, type Miss } from './model-replayer.ts';
import type { PlayOptions } from './play-options.ts';
import { modelCaller } from './played-caller.ts';
import {
  formatRecording, parseRecording, RecordingError, type RecordedReply,
} from './recording.ts';
import type { ScenarioFailure, ScenarioResult } from './result.ts';

export interface RunModels extends Pick<PlayOptions, 'modelFor' | 'judge' | 'playedCaller'> {
  /** To be called once, with what came of the run. Resolves with what the models add to it. */
  finish(result: ScenarioResult): Promise<ScenarioResult>;
}

export interface RunModelsOptions {
  /** Decides `judge` lines, and plays callers. */
  readonly evalModel?: ChatModel | undefined;
  /** Ends questions to it. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Where replies come from. `recording`: from one if there is one, else from the models. `record`:
 * from the models, and a recording is made.
 */
export type ModelSource = 'recording' | 'live' | 'record';

/** The models of a scenario. */
export interface ScenarioModels {
  /** Whether nobody is asked. */
  readonly isReplayed: boolean;
  readonly ofRun: () => RunModels;
}

/** `path` is that of the recording. Throws a `RecordingError` for one that cannot be replayed. */
export function scenarioModels(
  path: string,
  source: ModelSource,
  options: RunModelsOptions,
): ScenarioModels {
  const replies = source === 'recording' ? readRecording(path) : undefined;
  if (replies !== undefined) {
    return { isReplayed: true, ofRun: () => replayedModels(replies, options) };
  }
  if (source === 'record') {
    return { isReplayed: false, ofRun: () => recordedModels(path, options) };
  }
  const live = liveModels(options); // the judge sees a scenario's examples once
  return { isReplayed: false, ofRun: () => live };
}

/** Models that are asked. */
function liveModels({ evalModel, signal }: RunModelsOptions): RunModels {
  return { ...helpersBy(evalModel, signal), finish: (result) => Promise.resolve(result) };
}

/**
 * Models that are asked, whose replies are written to `path`. If one of them fails, or the file
 * cannot be written, the run fails and an earlier recording stays.
 */
function recordedModels(path: string, { evalModel, signal }: RunModelsOptions): RunModels {
  const recorder = new ModelRecorder();
  return {
    ...helpersBy(evalModel && recorder.record(evalModel), signal),
    modelFor: (own) => recorder.record(own),
    async finish(result) {
      const { replies, failures } = await recorder.heard();
      if (failures.length > 0) {
        const reasons = failures.map((error) => `a model failed: ${messageOf(error)}`);
        return failed(result, '--record', [...reasons, 'nothing was recorded']);
      }
      if (replies.length === 0) return result;
      try {
        await replace(path, formatRecording(replies));
        return result;
      } catch (error) {
        return failed(result, '--record', [`nothing was recorded: ${messageOf(error)}`]);
      }
    },
  };
}

/**
 * Models that answer from a recording, without a key. A run in which one is asked something else
 * fails for that reason alone: what follows from a missing reply says nothing about the agent.
 */
function replayedModels(
  replies: readonly RecordedReply[],
  { evalModel, signal }: RunModelsOptions,
): RunModels {
  const replayer = new ModelReplayer(replies);
  return {
    ...helpersBy(evalModel && replayer.replay(evalModel), signal),
    modelFor: (own) => replayer.replay(own),
    finish: (result) => {
      const [miss] = replayer.misses;
      if (miss === undefined) return Promise.resolve(result);
      const alone = { ...result, failures: [], undecided: [] };
      return Promise.resolve(failed(alone, 'the replay', reasonsOf(miss)));
    },
  };
}

/** Undefined if there is no file. Throws a `RecordingError` for one that cannot be replayed. */
function readRecording(path: string): readonly RecordedReply[] | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new RecordingError(`${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  return parseRecording(text, path);
}

function helpersBy(
  model: ChatModel | undefined,
  signal: AbortSignal | undefined,
): Pick<PlayOptions, 'judge' | 'playedCaller'> {
  if (model === undefined) return {};
  return { judge: modelJudge(model, { signal }), playedCaller: modelCaller(model, { signal }) };
}

function reasonsOf({ diff }: Miss): readonly string[] {
  return [
    'a model was asked what no recorded reply fits; recorded (-) and asked (+):',
    ...diff,
    'record it again with --record, or ask the models themselves with --live',
  ];
}

function failed(
  result: ScenarioResult,
  written: string,
  reasons: readonly string[],
): ScenarioResult {
  const failure: ScenarioFailure = {
    kind: 'course', lineNumber: undefined, written, reasons, turn: undefined,
  };
  return { ...result, outcome: 'failed', failures: [...result.failures, failure] };
}

/** A reader never sees half a file. */
async function replace(path: string, text: string): Promise<void> {
  const next = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(next, text);
    await rename(next, path);
  } finally {
    await rm(next, { force: true });
  }
}
