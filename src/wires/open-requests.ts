import { ServiceUnavailable } from '../http/errors.ts';

/** What is open at the moment. All routes of an app share it, as they share the limits. */
export interface OpenRequests {
  /** Turns whose reply is being sent. */
  streams: number;
  /** Events without a reply that the agent is handling. */
  hooks: number;
}

/** Throws a `ServiceUnavailable` if as many streams are open as may be. */
export function checkRoomForStream({ streams }: OpenRequests, maxStreams: number): void {
  if (streams < maxStreams) return;
  throw new ServiceUnavailable(`no more streams can be opened: the limit is ${maxStreams}`, 1);
}
