// A slow store whose writes wait until the test lets them go on.

import type { ConversationStore } from '../../src/conversations/store.ts';
import {
  deferred, messageEvent, rawRequest, Told, until, type Served,
} from '../fixtures/app.ts';

export interface HeldWrites {
  /** Resolves when the store is asked for the next write. */
  readonly asked: () => Promise<unknown>;
  readonly release: () => void;
}

/** From now on the writes of the store wait for \`release\`. */
export function holdWrites(store: ConversationStore): HeldWrites {
  const update = store.update.bind(store);
  const asked = new Told<string>();
  const gate = deferred();
  store.update = async (id, change) => {
    asked.tell(id);
    await gate.promise;
    return update(id, change);
  };
  return { asked: () => asked.next('the store to be asked'), release: gate.resolve };
}

/** Posts a message, and drops the request before the store has written anything of it. */
export async function dropBeforeWrite(
  { raw, logLines }: Served, store: ConversationStore,
): Promise<void> {
  const writes = holdWrites(store);
  const connection = await raw();
  connection.write(rawRequest(messageEvent()));
  await writes.asked();
  connection.socket.destroy();
  await until(
    () => logLines.some((line) => line.includes('"isCutShort":true')),
    'the drop to be noticed',
  );
  writes.release();
}
