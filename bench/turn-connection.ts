import { connect, type Socket } from 'node:net';
import { createTurnResponse, type TurnResponse } from './turn-response.ts';

/**
 * Longer than any stream is held open here. A server that falls silent must not hang the
 * measurement.
 */
const SILENCE_MS = 60_000;

export interface TurnTimes {
  /** From the write of the request to the first bytes of an event. */
  firstEventMs: number;
}

export interface TurnConnection {
  /**
   * Sends one request and reports its end to `onEnd`; `fault` says what was wrong. Only one request
   * may be open at a time.
   */
  run(
    request: string,
    content: string,
    onEnd: (fault: string | undefined, times: TurnTimes) => void,
  ): void;
  destroy(): void;
}

interface OpenTurn {
  response: TurnResponse;
  content: string;
  sentAt: number;
  firstEventAt: number;
  onEnd: (fault: string | undefined, times: TurnTimes) => void;
}

export interface TurnConnectionOptions {
  readonly onFirstEvent?: () => void;
  /** What the last event of an answer contains. Default: what LayerCode's last event does. */
  readonly ending?: string;
  /** Whether each turn has a connection of its own, which the server closes. Default: false. */
  readonly isRenewed?: boolean;
}

/**
 * A keep-alive connection that carries turns one after another, and reconnects if the server has
 * closed it in between.
 */
export function createTurnConnection(
  port: number,
  { onFirstEvent, ending = '"response.end"', isRenewed = false }: TurnConnectionOptions = {},
): TurnConnection {
  let socket: Socket | undefined;
  let turn: OpenTurn | undefined;

  function settle(fault: string | undefined): void {
    if (turn === undefined) return;
    const { onEnd, sentAt, firstEventAt } = turn;
    turn = undefined;
    if (fault !== undefined) {
      socket?.destroy();
      socket = undefined;
    }
    if (isRenewed) socket = undefined;
    onEnd(fault, { firstEventMs: firstEventAt - sentAt });
  }

  function read(chunk: string): void {
    if (turn === undefined) return;
    turn.response.add(chunk);
    if (turn.firstEventAt === 0 && turn.response.hasEvent) {
      turn.firstEventAt = performance.now();
      onFirstEvent?.();
    }
    if (turn.response.isComplete) settle(turn.response.findFault(turn.content, ending));
  }

  function open(): Socket {
    const opened = connect({ port, host: '127.0.0.1', noDelay: true });
    opened.setEncoding('latin1');
    opened.on('data', read);
    opened.setTimeout(SILENCE_MS, () => settle(`silent for ${SILENCE_MS / 1000} s`));
    opened.on('error', (error) => settle(error.message));
    opened.on('close', () => {
      if (socket !== opened) return;
      socket = undefined;
      settle('closed before the end');
    });
    return opened;
  }

  return {
    run(request, content, onEnd) {
      socket ??= open();
      turn = {
        response: createTurnResponse(),
        content,
        sentAt: performance.now(),
        firstEventAt: 0,
        onEnd,
      };
      socket.write(request, 'latin1');
    },
    destroy: () => socket?.destroy(),
  };
}
