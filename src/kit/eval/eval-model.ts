// The model that judges and plays callers, and what keeps models from answering.

import { noLog } from '../../base/log.ts';
import { ModelError, type ChatModel } from '../../core/models/model.ts';
import { openModel } from '../../core/models/open-model.ts';
import { bindAgent } from '../../server/app/bind-agent.ts';
import type { Settings } from '../../server/settings/settings.ts';
import { UsageError } from '../terminal/command.ts';
import type { Cast } from './play-options.ts';
import { agentsOf } from './problems.ts';
import type { Scenario } from './scenario.ts';

/**
 * Opens `provider:model`. `option` is the flag that gave the name, for the `UsageError` that an
 * unknown name throws. A missing key is not an error: a recording needs none.
 */
export function openEvalModel(name: string, option: string, settings: Settings): ChatModel {
  const { environment } = settings;
  try {
    return openModel({ names: [name], environment }).model;
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
    throw new UsageError(`${option}: ${error.message}`, { cause: error });
  }
}

/** Why models that the scenario would ask cannot answer, one line each. */
export function problemsOfModels(
  { isScripted, steps }: Scenario,
  cast: Cast,
  evalModel: ChatModel | undefined,
): readonly string[] {
  const asking = steps.find(({ name }) => name === 'judge' || name === 'caller');
  return [
    ...(isScripted ? [] : problemsOfAgents(cast)),
    ...(asking === undefined || evalModel === undefined || evalModel.isUsable()
      ? []
      : [`line ${asking.lineNumber}: ${asking.name}: ${evalModel.problems().join('; ')}`]),
  ];
}

function problemsOfAgents(cast: Cast): readonly string[] {
  const problems = agentsOf(cast).flatMap((agent) => {
    const { model } = bindAgent(agent, cast.settings, noLog());
    if (model === undefined || model.isUsable()) return [];
    const remedy = 'set it once to record replies (--record), or write them in "model" lines';
    return [`${model.problems().join('; ')}; ${remedy}`];
  });
  return [...new Set(problems)]; // several agents may share a model
}
