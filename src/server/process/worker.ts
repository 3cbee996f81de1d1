// One of several processes that serve the same port. It opens the server like a single process and
// obeys the primary.

import cluster from 'node:cluster';

import type { Channel } from '../../base/channel.ts';
import { processAddress } from '../../base/process-address.ts';
import { readSettings } from '../settings/load-settings.ts';
import type { Settings } from '../settings/settings.ts';
import { Closing } from './closing.ts';
import type { LogOutput } from './log-output.ts';
import { isCount } from './metrics-sum.ts';
import { openServer, type OpenServer } from './open-server.ts';
import { welcome } from './welcome.ts';
import { messageIn, Outbox, type MessageToWorker } from './worker-messages.ts';

/** How often the primary hears from this process, and gets the counts that must outlive it. */
const COUNTS_INTERVAL_MS = 1_000;

/**
 * Runs a worker. It ends when the primary says so or is gone. Rejects like `openServer` if it
 * cannot serve.
 */
export async function runWorker(argv: readonly string[], output: LogOutput): Promise<void> {
  // A terminal sends both to all its processes. Only the primary decides what they mean.
  process.on('SIGINT', () => undefined);
  process.on('SIGHUP', () => undefined);
  // Ignores failed messages to a primary that is gone, because this process then ends anyway.
  cluster.worker?.on('error', () => undefined);
  const primary = new Primary();
  const { processes, missingSecret, isTerminal, greets } = await primary.started;
  const { settings: given, problems } = readSettings({ argv });
  const server = await openServer(shareOf(given, processes), {
    directory: process.cwd(),
    write: output.write,
    linesLost: output.linesDropped,
    isTerminal,
    problems,
    missingSecret,
    worker: {
      processes,
      channel: primary.channel(),
      sumMetrics: () => primary.sum(),
    },
  });
  if (greets && !server.settings.production) process.stderr.write(welcome(given, server));
  obey(primary, server);
  await primary.outbox.send({ type: 'listening', origin: server.origin });
}

/** One process's share of the settings. Together the processes keep to the given limits. */
export function shareOf(settings: Settings, processes: number): Settings {
  const share = (bound: number): number => Math.ceil(bound / processes);
  return {
    ...settings,
    maxStreams: share(settings.maxStreams),
    maxConversations: share(settings.maxConversations),
    maxHistoryCharacters: share(settings.maxHistoryCharacters),
    authorizePerMinute: share(settings.authorizePerMinute),
  };
}

/** From here on the worker does what the primary says. */
function obey(primary: Primary, { app, log, settings }: OpenServer): void {
  const sendCounts = (): Promise<void> =>
    primary.outbox.send({
      type: 'counted',
      metrics: settings.metrics ? app.metrics.texts(isCount) : [],
    });
  let isReplaced = false;
  primary.isObeyed = true;
  const closing = new Closing({
    log,
    close: async () => {
      await app.close({ isReplaced });
      await sendCounts();
    },
    fields: () => ({ openTurns: app.runningTurns }),
    onFailure: () => void primary.outbox.send({ type: 'failed' }),
  });
  const close = (signal: string): void => {
    // If this worker is closing because it was replaced, it must now close faster.
    if (closing.signal.aborted) void app.close().catch(() => undefined);
    else void closing.close({ signal }, 0);
  };
  process.on('SIGTERM', close);
  primary.listen((message) => {
    switch (message.type) {
      case 'close':
        return close(message.signal);
      case 'retire':
        isReplaced = true;
        void closing.close({ reason: 'replaced' }, 0);
        return;
      case 'measure':
        void primary.outbox.send({ type: 'measured', metrics: app.metrics.texts() });
        return;
      default: // handled by `channel` or `Primary`
    }
  });
  setInterval(() => void sendCounts(), COUNTS_INTERVAL_MS).unref();
}

/** The process that started this one. */
class Primary {
  readonly outbox = new Outbox((message, callback) => {
    if (process.send === undefined || !process.connected) callback();
    else process.send(message, undefined, undefined, callback);
  });
  /** The answer to `ready`. */
  readonly started: Promise<Extract<MessageToWorker, { readonly type: 'start' }>>;
  /** Whether the server is open. Until then the process simply exits when told to close. */
  isObeyed = false;
  readonly #address = processAddress();
  #sum: Promise<string> | undefined;
  #onSum: ((text: string) => void) | undefined;

  constructor() {
    this.started = new Promise((resolve) => {
      this.listen((message) => {
        if (message.type === 'start') resolve(message);
        else if (message.type === 'close' && !this.isObeyed) process.exit(0);
        else if (message.type === 'metrics') this.#onSum?.(message.text);
      });
    });
    void this.outbox.send({ type: 'ready', address: this.#address });
  }

  listen(listener: (message: MessageToWorker) => void): void {
    process.on('message', (value) => {
      const message = messageIn<MessageToWorker>(value);
      if (message !== undefined) listener(message);
    });
  }

  channel(): Channel {
    return {
      address: this.#address,
      send: (to, text) => this.outbox.sendText({ type: 'text', to, text }),
      listen: (listener) => {
        this.listen((message) => {
          if (message.type === 'text') listener(message.text);
        });
      },
      close: () => undefined,
    };
  }

  /** The metrics of all processes. Simultaneous readers share one answer from the primary. */
  sum(): Promise<string> {
    return (this.#sum ??= new Promise<string>((resolve) => {
      this.#onSum = resolve;
      void this.outbox.send({ type: 'sum' });
    }).finally(() => (this.#sum = undefined)));
  }
}
