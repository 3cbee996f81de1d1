import { EVERYONE, type Channel } from '../base/channel.ts';
import type { ProcessMessage } from '../turns/process-message.ts';

/**
 * Splits an app's channel into one per agent: what an agent sends reaches the same agent in the
 * other process. Closing is left to the app's channel.
 */
export function agentChannels(channel: Channel): (agentName: string) => Channel {
  const listeners = new Map<string, (message: string) => void>();
  const reopening = new Map<string, () => void>();
  channel.listen(
    (text) => {
      const end = text.indexOf(' '); // agent names contain no space
      listeners.get(text.slice(0, Math.max(0, end)))?.(text.slice(end + 1));
    },
    () => {
      for (const reopened of reopening.values()) reopened();
    },
  );
  return (agentName) => ({
    get address() {
      return channel.address;
    },
    get isOpen() {
      return channel.isOpen;
    },
    send: (address, message) => channel.send(address, messageOf(agentName, message)),
    listen: (listener, reopened) => {
      listeners.set(agentName, listener);
      if (reopened !== undefined) reopening.set(agentName, reopened);
    },
    close: () => undefined,
  });
}

function messageOf(agentName: string, message: string): string {
  return `${agentName} ${message}`;
}

/**
 * Tells servers from outside that the conversation with that key in the store was erased. `agents`
 * are those of the settings. If there are none, the servers may still have agents of their own, so
 * what stands before the first slash may be an agent's name.
 */
export function tellErased(
  channel: Channel,
  agents: readonly { readonly name: string }[],
  key: string,
): void {
  const [first = ''] = key.split('/', 1);
  const isNamed = agents.length === 0 || agents.some(({ name }) => name === first);
  const mayBeAgent = first !== key && isNamed;
  if (mayBeAgent) channel.send(EVERYONE, messageOf(first, erased(key.slice(first.length + 1))));
  if (!mayBeAgent || agents.length === 0) channel.send(EVERYONE, erased(key));
}

function erased(conversationId: string): string {
  return JSON.stringify({ type: 'erased', conversationId } satisfies ProcessMessage);
}
