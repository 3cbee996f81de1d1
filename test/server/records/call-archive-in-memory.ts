import { isOf, type CallArchive, type CallKey } from '../../../src/server/records/call-archive.ts';
import type { CallRecord } from '../../../src/server/records/call-record.ts';
import { Told } from '../../fixtures/app.ts';

/** An archive that a test can make fail, and that tells of each record it keeps. */
export class CallArchiveInMemory implements CallArchive {
  readonly name = 'test';
  readonly kept = new Told<CallRecord>();
  /** `keep` and `hasEnd` reject with it while it is set. */
  failWith: Error | undefined;
  tries = 0;
  isClosed = false;

  begin(): Promise<void> {
    return Promise.resolve();
  }

  keep(_key: CallKey, record: CallRecord): Promise<void> {
    this.tries += 1;
    if (this.failWith !== undefined) return Promise.reject(this.failWith);
    this.kept.tell(record);
    return Promise.resolve();
  }

  hasEnd({ sessionId }: CallKey): Promise<boolean> {
    if (this.failWith !== undefined) return Promise.reject(this.failWith);
    const known = this.kept.all.filter((record) => record.sessionId === sessionId);
    return Promise.resolve(known.some(({ outcome }) => outcome !== 'not reported'));
  }

  async *all(): AsyncGenerator<CallRecord, void, undefined> {
    yield* this.kept.all;
  }

  async *erase(
    id: string, isMeant = (record: CallRecord): boolean => isOf(record, id),
  ): AsyncGenerator<CallRecord, void, undefined> {
    yield* this.kept.all.filter(isMeant);
  }

  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }
}
