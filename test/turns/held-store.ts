// A slow store whose writes wait until the test lets them go on.

import type { ConversationStore } from '../../src/conversations/store.ts';
import { deferred, messageEvent, rawRequest, Told, until, type Served } from '../fixtures/app.ts';

/**
 * From now on the writes of the store wait for `release`. `asked` resolves at the next of them.
 */
export function holdWrites(
  store: ConversationStore,
): { readonly asked: () => Promise<unknown>; readonly release: () => void } {
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
  const isNoticed = (): boolean => logLines.some((line) => line.includes('"isCutShort":true'));
  await until(isNoticed, 'the drop to be noticed');
  writes.release();
}
