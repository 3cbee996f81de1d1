import { randomBytes } from 'node:crypto';

import { createTurnConnection } from './turn-connection.ts';
import { formatTurnRequest } from './turn-request.ts';

const CONNECTIONS = 64;

const runId = randomBytes(4).toString('hex');
let taken = 0;

/**
 * Takes a turn in each conversation, one after another on one connection. Throws if an answer is
 * wrong.
 */
export async function takeTurns(port: number, conversations: Iterable<string>): Promise<void> {
  const connection = createTurnConnection(port);
  try {
    for (const conversationId of conversations) {
      taken += 1;
      const text = `This is turn ${taken}, what is the weather in Reykjavik like today?`;
      const request = formatTurnRequest({
        conversationId,
        turnId: `turn_${runId}_${taken}`,
        text,
      });
      await new Promise<void>((resolve, reject) => {
        connection.run(request, `You said: ${text}`, (fault) => {
          if (fault === undefined) resolve();
          else reject(new Error(fault));
        });
      });
    }
  } finally {
    connection.destroy();
  }
}

/** Takes turns on many connections at once, which is faster. */
export async function takeTurnsTogether(
  port: number,
  conversations: readonly string[],
  turnsOfEach = 1,
): Promise<void> {
  const connections = Math.min(CONNECTIONS, conversations.length);
  await Promise.all(
    Array.from({ length: connections }, (_, first) => {
      const share = conversations.filter((_, index) => index % connections === first);
      return takeTurns(port, share.flatMap((id) => Array<string>(turnsOfEach).fill(id)));
    }),
  );
}
