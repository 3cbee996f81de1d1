// Messages between the primary and its workers.

import type { MetricText } from '../../base/metrics.ts';
import type { DevelopmentSecret } from './development-secret.ts';

export type MessageToWorker =
  /** Answers `ready`: open the server. */
  | {
      readonly type: 'start';
      readonly processes: number;
      readonly missingSecret: DevelopmentSecret | undefined;
      /** Whether a person reads the log. */
      readonly isTerminal: boolean;
      /** Whether this worker greets the person who started the server. */
      readonly greets: boolean;
    }
  /** Drain and end. */
  | { readonly type: 'close'; readonly signal: string }
  /** Another worker has taken over: end without interrupting turns. */
  | { readonly type: 'retire' }
  /** From another worker. */
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'measure' }
  /** Answers `sum`. */
  | { readonly type: 'metrics'; readonly text: string };

export type MessageToPrimary =
  /**
   * The first message. Anything the primary sent earlier is lost, because nothing was listening.
   * `address`: where other workers reach this one.
   */
  | { readonly type: 'ready'; readonly address: string }
  | { readonly type: 'listening'; readonly origin: string }
  /** This process is broken and needs a successor. */
  | { readonly type: 'failed' }
  /** To another worker. */
  | { readonly type: 'text'; readonly to: string; readonly text: string }
  /**
   * What must not be lost with this process: counts, and no gauges. Sent every second, with or
   * without metrics: a worker that sends nothing for a long time counts as hung.
   */
  | { readonly type: 'counted'; readonly metrics: readonly MetricText[] }
  /** Answers `measure`. */
  | { readonly type: 'measured'; readonly metrics: readonly MetricText[] }
  /** Requests the metrics of all processes. */
  | { readonly type: 'sum' };

/** A unique key separates these messages from those a user's agent may send. */
const NAME = 'layercode-microserver';

export function asMessage(message: MessageToWorker | MessageToPrimary): object {
  return { [NAME]: message };
}

/** Undefined if the message is not ours. */
export function messageIn<M extends MessageToWorker | MessageToPrimary>(
  value: unknown,
): M | undefined {
  if (typeof value !== 'object' || value === null || !(NAME in value)) return undefined;
  return value[NAME] as M; // only `asMessage` uses the name
}

/** Beyond this many unread characters, the other process has stopped reading or is too slow. */
const MAX_UNREAD_CHARACTERS = 8_388_608;

/** Sends to one process. */
export class Outbox {
  readonly #send: (message: object, callback: () => void) => void;
  #unread = 0;

  /** `send` must call back even if the other process is gone. */
  constructor(send: (message: object, callback: () => void) => void) {
    this.#send = send;
  }

  /** Resolves when the message has been sent, or cannot be. */
  send(message: MessageToWorker | MessageToPrimary): Promise<void> {
    return new Promise((resolve) => this.#send(asMessage(message), resolve));
  }

  /** Sends text to a worker, or drops it if too much is unread. */
  sendText(message: Extract<MessageToWorker | MessageToPrimary, { readonly type: 'text' }>): void {
    const { length } = message.text;
    if (this.#unread + length > MAX_UNREAD_CHARACTERS) return;
    this.#unread += length;
    this.#send(asMessage(message), () => (this.#unread -= length));
  }
}
