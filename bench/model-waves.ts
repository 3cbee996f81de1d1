import { wordsIn, type ModelCaller } from './model-caller.ts';
import { endBlocks, textBlock, type ModelVendor } from './model-vendor.ts';
import { settle, until } from './rounds.ts';

const utf8 = new TextEncoder();

/** Microseconds per stream. */
export interface WaveTimes {
  /** From the model's first bytes to the first spoken text. */
  readonly firstUs: number;
  /** Per token after the first. */
  readonly nextUs: number;
}

/**
 * Takes one turn of all callers at once. The model's reply comes token by token. A token is done
 * when the last caller has been written to or, if a filter holds the token back, when the last
 * reader has come back for more.
 */
export async function runWave(
  callers: readonly ModelCaller[],
  vendor: ModelVendor,
  [first = '', ...others]: readonly string[],
): Promise<WaveTimes> {
  const count = callers.length;
  for (const caller of callers) caller.ask('And what is there to see?');
  const replies = await vendor.takeReplies(count);

  /** Returns the time at which the sending began. */
  function sendAll(blocks: string): number {
    // One packet for each reply: a byte stream takes over the buffer.
    const packets = replies.map(() => utf8.encode(blocks));
    const sentAtMs = performance.now();
    for (const [index, reply] of replies.entries()) {
      const packet = packets[index];
      if (packet !== undefined) reply.send(packet);
    }
    return sentAtMs;
  }

  const sentAtMs = sendAll(textBlock() + textBlock(first));
  await until(
    () => callers.every(({ heardAtMs }) => heardAtMs > 0),
    () => `the first word; written was ${JSON.stringify(callers[0]?.answer)}`,
  );
  const firstMs = latest(callers.map(({ heardAtMs }) => heardAtMs)) - sentAtMs;
  await settle();

  let nextMs = 0;
  for (const token of others) {
    const sentAtMs = sendAll(textBlock(token));
    await settle();
    const writtenAtMs = latest(callers.map(({ lastWrittenAtMs }) => lastWrittenAtMs));
    nextMs += Math.max(writtenAtMs, vendor.lastAskedAtMs) - sentAtMs;
  }

  sendAll(endBlocks(others.length + 1));
  for (const reply of replies) reply.end();
  await until(
    () => callers.every(({ isAnswered }) => isAnswered),
    () => `the end of the answers; written was ${JSON.stringify(callers[0]?.answer)}`,
  );
  await settle();
  return {
    firstUs: (firstMs * 1_000) / count,
    nextUs: (nextMs * 1_000) / count / Math.max(1, others.length),
  };
}

function latest(times: readonly number[]): number {
  return times.reduce((latest, time) => Math.max(latest, time), 0);
}

/** Throws unless every answer says the text and ends properly. */
export function checkAnswers(callers: readonly ModelCaller[], text: string): void {
  for (const { answer } of callers) {
    const words = wordsIn(answer);
    if (words.trim() === text.trim() && answer.includes('"response.end"')) continue;
    throw new Error(`${JSON.stringify(text)} was to be said, written was ${JSON.stringify(answer)}`);
  }
}
