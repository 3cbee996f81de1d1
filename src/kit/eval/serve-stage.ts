// The other end of `stageProcess`: serves one scenario's agent until the parent is gone.

import { isAbort } from '../../base/abort.ts';
import { createLogger } from '../../base/log.ts';
import { messageOf } from '../../base/thrown-values.ts';
import { openStore } from '../../core/conversations/stores/open-store.ts';
import { EXIT } from '../terminal/command.ts';
import { backstage, type Backstage } from './backstage.ts';
import type { Notes } from './notebook.ts';
import type { PlayOptions } from './play-options.ts';
import {
  STAGE_VARIABLE, type StageAccess, type StageAnswer, type StageCall,
} from './stage-process.ts';
import { stageSettings } from './stage-settings.ts';
import type { Staged } from './staging.ts';
import { lineOf } from './unawaited-errors.ts';
import { watched } from './watched-store.ts';

/**
 * Whether this process is a stage. Removes the mark: programs that the agent starts are not stages.
 */
export function takeStageMark(): boolean {
  const isStage = process.env[STAGE_VARIABLE] !== undefined && process.send !== undefined;
  delete process.env[STAGE_VARIABLE];
  return isStage;
}

/** Resolves when the parent is gone. */
export function serveStage(staged: Staged, options: PlayOptions): Promise<void> {
  let stage: Backstage | undefined;
  const answer = (message: StageAnswer): void => {
    if (process.connected) process.send?.(message);
  };
  process.on('uncaughtException', (error) => {
    if (isAbort(error)) return;
    const message = { type: 'failing', reason: lineOf(error) } satisfies StageAnswer;
    process.send?.(message, () => process.exit(EXIT.FAILED));
  });
  process.on('message', (message) => {
    const { id, method, args } = message as StageCall;
    const done = async (): Promise<unknown> => {
      if (method === 'begin') {
        stage = await openStage(staged, options, args[0] as StageAccess, notesFor(answer));
        return undefined;
      }
      if (stage === undefined) throw new Error('the stage has not begun');
      // Not checked again: `stageProcess` is this same program.
      return Reflect.apply(stage[method], stage, args) as unknown;
    };
    done().then(
      (value) => answer({ type: 'answer', id, value }),
      (error: unknown) => answer({ type: 'failure', id, message: messageOf(error) }),
    );
  });
  return new Promise((resolve) => process.once('disconnect', () => resolve()));
}

function notesFor(tell: (message: StageAnswer) => void): Notes {
  return new Proxy({} as Notes, {
    get: (_notes, name: keyof Notes) => (...args: readonly unknown[]) =>
      tell({ type: 'note', name, args }),
  });
}

async function openStage(
  { scenario, cast }: Staged,
  options: PlayOptions,
  { storePath, aheadMs, ...access }: StageAccess,
  notes: Notes,
): Promise<Backstage> {
  const settings = {
    ...stageSettings(cast.settings, scenario, access),
    conversationStore: `sqlite:${storePath}`,
  };
  const log = createLogger({ level: 'error', write: (line) => process.stderr.write(line) });
  const store = watched(await openStore(settings, { log }));
  return backstage({
    ...options, scenario, agent: cast.agent, settings, store, notes, aheadMs,
  });
}
