// The models of one run, the agent's own and that of the evals: asked, recorded or replayed.

import { readFileSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';

import { codeOf, messageOf } from '../../base/thrown-values.ts';
import type { ChatModel } from '../../core/models/model.ts';
import { modelJudge } from './judge.ts';
import { ModelRecorder } from './model-recorder.ts';
import { ModelReplayer } from './model-replayer.ts';
import type { PlayOptions } from './play-options.ts';
import { modelCaller } from './played-caller.ts';
import {
  formatRecording, parseRecording, RecordingError, type RecordedReply,
} from './recording.ts';
import { withFailure, type ScenarioResult } from './result.ts';
import { besideScenario } from './scenario.ts';
import { shownDiff } from './text-diff.ts';

/**
 * Where replies come from. `recording`: from the recording if there is one, else from the models.
 * `record`: from the models, and a recording is made.
 */
export type ModelSource = 'recording' | 'live' | 'record';

type RunModels = Pick<PlayOptions, 'modelFor' | 'judge' | 'playedCaller'>;

interface ScenarioModels {
  /** Whether no model is asked. */
  readonly isReplayed: boolean;
  /** Plays a run with its models. The result includes what the models add to it. */
  play(run: (models: RunModels) => Promise<ScenarioResult>): Promise<ScenarioResult>;
}

/** `evalModel` decides `judge` lines and plays callers; `signal` ends questions to it. */
export function runModels(
  evalModel: ChatModel | undefined,
  signal: AbortSignal | undefined,
  modelFor = (own: ChatModel): ChatModel => own,
): RunModels {
  if (evalModel === undefined) return { modelFor };
  const model = modelFor(evalModel);
  return { modelFor, judge: modelJudge(model, signal), playedCaller: modelCaller(model, signal) };
}

/**
 * The recording is beside the scenario. Throws a `RecordingError` for a recording that cannot be
 * replayed.
 */
export function scenarioModels(
  scenarioPath: string,
  source: ModelSource,
  evalModel: ChatModel | undefined,
  signal: AbortSignal | undefined,
): ScenarioModels {
  const path = besideScenario(scenarioPath, '.recorded.json');
  const live = runModels(evalModel, signal); // the judge sees a scenario's examples once
  const replies = source === 'recording' ? readRecording(path) : undefined;
  if (replies !== undefined) {
    return {
      isReplayed: true,
      async play(run) {
        const replayer = new ModelReplayer(replies);
        const models = runModels(evalModel, signal, (own) => replayer.replay(own));
        return withMiss(replayer, await run(models));
      },
    };
  }
  return {
    isReplayed: false,
    async play(run) {
      if (source !== 'record') return run(live);
      const recorder = new ModelRecorder();
      const models = runModels(evalModel, signal, (own) => recorder.record(own));
      return keep(recorder, path, await run(models));
    },
  };
}

/** If a model failed, or the file cannot be written, the run fails and an earlier file stays. */
async function keep(
  recorder: ModelRecorder,
  path: string,
  result: ScenarioResult,
): Promise<ScenarioResult> {
  const { replies, failures } = await recorder.heard();
  if (failures.length > 0) {
    const reasons = failures.map((error) => `a model failed: ${messageOf(error)}`);
    return withFailure(result, '--record', [...reasons, 'nothing was recorded']);
  }
  try {
    if (replies.length > 0) await writeWhole(path, formatRecording(replies));
    return result;
  } catch (error) {
    return withFailure(result, '--record', [`nothing was recorded: ${messageOf(error)}`]);
  }
}

/** The old file stays until the new text has been written. */
async function writeWhole(path: string, text: string): Promise<void> {
  const draft = `${path}.${process.pid}`;
  try {
    await writeFile(draft, text);
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
}

/**
 * A run in which a model is asked something that was not recorded fails for that reason alone: what
 * follows from a missing reply says nothing about the agent.
 */
function withMiss({ misses: [diff] }: ModelReplayer, result: ScenarioResult): ScenarioResult {
  if (diff === undefined) return result;
  return withFailure({ ...result, failures: [], undecided: [] }, 'the replay', [
    'a model was asked something that no recorded reply fits; recorded (-) and asked (+):',
    ...shownDiff(diff),
    'record it again with --record, or ask the models themselves with --live',
  ]);
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
