import { randomBytes } from 'node:crypto';
import { ResentCall } from './completion-request.ts';
import { Faults } from './faults.ts';
import { readCpuMs, readFamily } from './proc.ts';
import { percentile } from './stats.ts';
import { createTurnConnection } from './turn-connection.ts';
import { formatTurnRequest } from './turn-request.ts';

export interface TurnsLoad {
  readonly port: number;
  /** The server's process, for reading its processor time and that of the processes it started. */
  readonly pid: number;
  /** The store's server process. Default: none. */
  readonly storePid?: number;
  readonly connections: number;
  /** The number of its own conversations that each connection rotates through. */
  readonly conversations: number;
  /** Turns in each conversation before the warm-up begins. Default: 0. */
  readonly fill?: number;
  /** Maximum number of messages in a Chat Completions request. Default: 0, LayerCode's events. */
  readonly messages?: number;
  /** Whether each turn has a connection of its own. Default: connections are kept. */
  readonly renewsConnections?: boolean;
  /** Consecutive turns in one conversation before moving to the next. Default: 1. */
  readonly stay?: number;
  /**
   * One in this many turns goes to the connection's first conversation, which grows long. Default:
   * 0, none.
   */
  readonly hotEvery?: number;
  readonly warmupSeconds?: number;
  /** How long turns are counted. Default: until `maxTurns`, without a warm-up. */
  readonly seconds?: number;
  /** Default: no maximum. */
  readonly maxTurns?: number;
}

export interface TurnsResult {
  turns: number;
  seconds: number;
  turnsPerSecond: number;
  firstEventP50Ms: number;
  firstEventP99Ms: number;
  serverCpuUsPerTurn: number;
  /** CPU time of the store's server process. */
  storeCpuUsPerTurn: number;
  /**
   * The share of one processor that the load generator used. Near 1 it is the bottleneck, and the
   * ratios look too good.
   */
  clientCpuShare: number;
  failures: number;
  faults: string[];
}

/**
 * A closed loop: each connection sends its next turn when the previous one has ended. Only turns
 * that end within the window count.
 */
export function runTurns(
  load: TurnsLoad,
  onProgress: (turns: number) => void,
): Promise<TurnsResult> {
  const { port, pid, storePid, conversations, fill = 0, messages = 0 } = load;
  const { warmupSeconds = 0, seconds, maxTurns = Infinity, renewsConnections = false } = load;
  const runId = randomBytes(4).toString('hex');
  const faults = new Faults();
  const firstEventMs: number[] = [];
  const progressStep = Math.max(1, Math.floor(maxTurns / 100));
  let sent = 0;
  let windowFrom = openWindow();

  function readCpu(): { server: number; store: number } {
    return {
      server: readFamily(pid).reduce((sum, member) => sum + readCpuMs(member), 0),
      store: storePid === undefined ? 0 : readCpuMs(storePid),
    };
  }

  interface Window {
    at: number;
    cpuMs: ReturnType<typeof readCpu>;
    client: NodeJS.CpuUsage;
  }

  function openWindow(): Window {
    firstEventMs.length = 0;
    return { at: performance.now(), cpuMs: readCpu(), client: process.cpuUsage() };
  }

  function measure(): TurnsResult {
    const seconds = (performance.now() - windowFrom.at) / 1000;
    const turns = firstEventMs.length;
    const client = process.cpuUsage(windowFrom.client);
    const cpuMs = readCpu();
    return {
      turns,
      seconds,
      turnsPerSecond: turns / seconds,
      firstEventP50Ms: percentile(firstEventMs, 0.5),
      firstEventP99Ms: percentile(firstEventMs, 0.99),
      serverCpuUsPerTurn: ((cpuMs.server - windowFrom.cpuMs.server) * 1000) / turns,
      storeCpuUsPerTurn: ((cpuMs.store - windowFrom.cpuMs.store) * 1000) / turns,
      clientCpuShare: (client.user + client.system) / 1e6 / seconds,
      failures: faults.count,
      faults: faults.reasons,
    };
  }

  return new Promise((resolve) => {
    let active = load.connections;
    let isOver = false;
    let result: TurnsResult | undefined;

    function closeWindow(): void {
      isOver = true;
      result ??= measure();
    }

    let windowTimer: NodeJS.Timeout | undefined;
    function warmUp(): void {
      if (seconds === undefined) return;
      windowTimer = setTimeout(() => {
        windowFrom = openWindow();
        windowTimer = setTimeout(closeWindow, seconds * 1_000);
      }, warmupSeconds * 1_000);
    }
    const turnsToFill = fill * conversations;
    let unfilled = load.connections;
    if (turnsToFill === 0) warmUp();

    function finish(): void {
      clearTimeout(windowTimer);
      // Turns that failed after the window had closed count too.
      resolve({ ...(result ?? measure()), failures: faults.count, faults: faults.reasons });
    }

    for (let index = 0; index < load.connections; index++) drive(index);

    function drive(index: number): void {
      const isResent = messages > 0;
      const ending = isResent ? { ending: '[DONE]' } : {};
      const connection = createTurnConnection(port, { ...ending, isRenewed: renewsConnections });
      const calls = new Map<string, ResentCall>();
      let turn = 0;

      /** The call so far. With one message per request, each call is new. */
      function callOf(conversationId: string): ResentCall {
        const known = calls.get(conversationId);
        const call = known ?? new ResentCall(conversationId, messages);
        if (messages > 1) calls.set(conversationId, call);
        return call;
      }

      function next(): void {
        if (isOver || sent >= maxTurns || faults.isHopeless) {
          connection.destroy();
          if (--active === 0) finish();
          return;
        }
        if (turn === turnsToFill && turn > 0 && --unfilled === 0) warmUp();
        const text = `This is turn ${++sent}, what is the weather in Reykjavik like today?`;
        const place = messages === 1 ? sent : pickConversation(turn, load);
        turn += 1;
        const conversationId = `conv_${runId}_${index}_${place}`;
        const call = isResent ? callOf(conversationId) : undefined;
        const turnId = `turn_${runId}_${sent}`;
        const request = call?.say(text)
          ?? formatTurnRequest({ conversationId, turnId, text, isOnly: renewsConnections });
        const reply = `You said: ${text}`;
        connection.run(request, reply, (fault, times) => {
          call?.heard(reply);
          if (fault === undefined) firstEventMs.push(times.firstEventMs);
          else faults.add(fault);
          if (fault === undefined && firstEventMs.length % progressStep === 0)
            onProgress(firstEventMs.length);
          next();
        });
      }
      next();
    }
  });
}

function pickConversation(
  turn: number,
  { conversations, stay = 1, hotEvery = 0 }: TurnsLoad,
): number {
  if (hotEvery > 0 && turn % hotEvery === 0) return 0;
  return Math.floor(turn / stay) % conversations;
}
