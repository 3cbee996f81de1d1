// The process that receives signals. It starts the workers, passes messages between them, and keeps
// one log and one sum of their metrics.

import { isatty } from 'node:tty';

import type { Environment } from '../../base/environment.ts';
import type { Logger } from '../../base/log.ts';
import { formatMetrics, Metrics, type MetricText } from '../../base/metrics.ts';
import { atMost } from '../../base/time-limit.ts';
import { addLogMetrics, addWorkersMetrics } from '../observers/gauges.ts';
import { loadSettings } from '../settings/load-settings.ts';
import { SettingsError, type Settings } from '../settings/settings.ts';
import { rows } from '../settings/table.ts';
import { Closing, type RunOptions } from './closing.ts';
import { described, tell, type LogOutput } from './log-output.ts';
import { addUp, isCount } from './metrics-sum.ts';
import { openLog, openMissingSecret, withSecret } from './open-server.ts';
import type { MessageToPrimary } from './worker-messages.ts';
import { Workers, WorkersError, type WorkerProcess } from './workers.ts';

interface PrimaryOptions extends RunOptions {
  readonly argv: readonly string[];
  readonly count: number;
  readonly output: LogOutput;
}

/** Extra time workers may take to close, beyond the settings, to write what they hold. */
const CLOSING_GRACE_MS = 15_000;
/** If a worker takes longer to answer, its previous answer counts. */
const MEASURING_MS = 1_000;

/**
 * Settings that all processes share. A worker that starts later gets the first value, whatever the
 * settings file says by then: with a store of its own it would not know the others' calls.
 */
const SHARED = ['workers', 'port', 'host', 'conversationStore'] as const;

/** Runs the workers until a signal. Resolves when all are serving. */
export async function runPrimary(
  given: Settings,
  { argv, count, output, accompany }: PrimaryOptions,
): Promise<void> {
  const missingSecret = await openMissingSecret(given, process.cwd());
  const settings = withSecret(given, missingSecret);
  const { write, linesDropped: linesLost } = output;
  const isTerminal = process.stdout.isTTY;
  const log = openLog(settings, { write, linesLost, isTerminal });
  const workers = new Workers({
    count,
    environment: sharedEnvironment({ ...given, workers: count }),
    log,
    write,
    isTerminal,
    missingSecret,
    closingMs:
      1_000 * (settings.drainDelaySeconds + settings.shutdownTimeoutSeconds) + CLOSING_GRACE_MS,
    onMessage: (message, from) => post.take(message, from),
    onGone: (worker) => post.gone(worker),
  });
  const metrics = new Metrics();
  addLogMetrics(metrics, log);
  addWorkersMetrics(metrics, workers);
  const post = createPost(workers, metrics);
  let signal = 'SIGTERM';
  const closing = new Closing({
    log,
    close: () => workers.close(signal),
    fields: () => ({ workers: workers.serving }),
  });
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      signal = name;
      closing.onSignal(name);
    });
  }
  const started = workers.start();
  const reload = (): Promise<void> | undefined => {
    const changed = changedSettings(given, argv, log);
    if (changed === undefined) return undefined;
    const store = rows.conversationStore.variable;
    if (changed.includes(store)) {
      log.error('workers not replaced: a setting needs a restart', { settings: [store] });
      return undefined;
    }
    if (changed.length > 0) log.warn('settings need a restart', { settings: changed });
    return workers.replaceAll();
  };
  process.on('SIGHUP', () => {
    // From a closed terminal this means the end, not a reload.
    if ([0, 1, 2].some((descriptor) => isatty(descriptor))) closing.onSignal('SIGHUP');
    else void started.then(() => reload(), () => undefined);
  });
  void workers.failed.catch(({ message, isReported }: WorkersError) => {
    if (workers.all.length > 0) {
      if (!isReported) tell(message);
      void closing.close({ reason: message }, 1);
      return;
    }
    process.exitCode = 1;
    process.stderr.write(isReported ? '' : described(message), () => process.exit());
  });
  const origin = await started.catch((error: unknown) => {
    if (!(error instanceof WorkersError)) throw error;
    return undefined; // reported above
  });
  if (origin === undefined || accompany === undefined) return;
  await closing.accompany((ends) => accompany({ origin, settings }, ends), tell);
}

function sharedEnvironment(settings: Settings): Environment {
  return Object.fromEntries(SHARED.map((name) => [rows[name].variable, String(settings[name])]));
}

/**
 * The variables of shared settings whose value has changed since the start. Undefined if the
 * settings have become invalid, which is logged.
 */
function changedSettings(
  first: Settings,
  argv: readonly string[],
  log: Logger,
): readonly string[] | undefined {
  try {
    const settings = loadSettings({ argv });
    const changed = SHARED.filter((name) => settings[name] !== first[name]);
    return changed.map((name) => rows[name].variable);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    log.error('workers not replaced: settings are wrong', { problems: error.problems });
    return undefined;
  }
}

/** Passes messages between workers and collects their metrics. */
function createPost(workers: Workers, own: Metrics) {
  /** The counts of workers that are gone, because a counter must never decrease. */
  let buried: readonly MetricText[] = [];
  /** Called when a worker has reported its metrics, or never will. */
  const measuring = new Map<WorkerProcess, () => void>();
  let collecting: Promise<string> | undefined;

  function measured(worker: WorkerProcess): void {
    measuring.get(worker)?.();
    measuring.delete(worker);
  }

  function measure(worker: WorkerProcess): Promise<void> | undefined {
    if (worker.listeningSinceMs === undefined) return undefined;
    return new Promise((resolve) => {
      measuring.set(worker, resolve);
      void worker.outbox.send({ type: 'measure' });
    });
  }

  async function collect(): Promise<string> {
    await atMost(MEASURING_MS, Promise.all(workers.all.map(measure)));
    const lists = workers.all.map((worker) => worker.metrics);
    return formatMetrics(addUp([...lists, own.texts(), buried]));
  }

  return {
    take(message: MessageToPrimary, from: WorkerProcess): void {
      switch (message.type) {
        case 'text': {
          const { to, text } = message;
          const receiver = workers.all.find(({ address }) => address === to);
          return receiver?.outbox.sendText({ type: 'text', text });
        }
        case 'counted':
          from.counts = message.metrics;
          return;
        case 'measured':
          from.metrics = message.metrics;
          from.counts = message.metrics.filter(isCount);
          return measured(from);
        case 'sum':
          // Workers that ask at the same time share one answer.
          collecting ??= collect().finally(() => (collecting = undefined));
          void collecting.then((text) => from.outbox.send({ type: 'metrics', text }));
          return;
        default: // `Workers` handles the others
      }
    },
    gone(worker: WorkerProcess): void {
      buried = addUp([buried, worker.counts]);
      measured(worker);
    },
  };
}
