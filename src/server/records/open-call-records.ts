import { resolve } from 'node:path';

import {
  openParts, type OpenStoreOptions, type StoreSettings,
} from '../../core/conversations/stores/open-store.ts';
import { StoreError } from '../../core/conversations/stores/store-error.ts';
import type { CallArchive } from './call-archive.ts';
import type { CallRecords } from './call-recorder.ts';
import { idleSecondsOf } from './idle-calls.ts';

/** The settings of call records. */
export interface CallRecordSettings extends StoreSettings {
  /** `store`, or `file:` and a path. Undefined: calls are not recorded. */
  readonly callRecords: string | undefined;
  readonly callRecordsDays: number;
  /** Default false. */
  readonly callRecordsState?: boolean | undefined;
  /** Default false. */
  readonly captureModelRequests?: boolean | undefined;
  /**
   * When a silent call is recorded. Undefined: after half of `conversationTtlSeconds`, but at most
   * 900. 0: never.
   */
  readonly callRecordsIdleSeconds?: number | undefined;
}

const FILE = 'file:';

/**
 * Opens what `CALL_RECORDS` names. Undefined if it is not set. Rejects with a `StoreError` if
 * records cannot be kept there. Pass the result to an app, which closes it.
 */
export async function openCallRecords(
  settings: CallRecordSettings,
  options: OpenStoreOptions,
): Promise<CallRecords | undefined> {
  const archive = await open(settings, options);
  if (archive === undefined) return undefined;
  await archive.begin();
  const { callRecorder } = await import('./call-recorder.ts');
  const { callRecordsState: hasState, captureModelRequests: hasRequests } = settings;
  const idleMs = idleSecondsOf(settings) * 1_000 || undefined;
  const contents = { hasState, hasRequests };
  return callRecorder({ archive, log: options.log, idleMs, contents });
}

/**
 * Like `openCallRecords`, but for reading and erasing records, on all nodes of a cluster. Does not
 * create a file: rejects with a `StoreError` if none exists.
 */
export function openCallArchive(
  settings: CallRecordSettings,
  options: OpenStoreOptions,
): Promise<CallArchive | undefined> {
  return open(settings, options, true);
}

async function open(
  settings: CallRecordSettings,
  options: OpenStoreOptions,
  mustExist = false,
): Promise<CallArchive | undefined> {
  const { callRecords, callRecordsDays: days, conversationStore } = settings;
  if (callRecords === undefined) return undefined;
  if (callRecords.startsWith(FILE)) {
    const { callFile } = await import('./call-file.ts');
    const { directory = process.cwd() } = options;
    const file = callFile({ path: resolve(directory, callRecords.slice(FILE.length)), days });
    if (mustExist) await file.checkExists();
    return file;
  }
  if (conversationStore === 'memory' && options.redis === undefined) {
    const remedy = 'name a file, or set CONVERSATION_STORE';
    throw new StoreError(`CALL_RECORDS=store needs a store that outlives the process: ${remedy}`);
  }
  const { callStore } = await import('./call-store.ts');
  const parts = await openParts(settings, options, mustExist);
  return callStore({ parts, days });
}
