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

/** Tells servers from outside that the conversation with that key in the store was erased. */
export function tellErased(
  channel: Channel,
  agents: readonly { readonly name: string }[],
  key: string,
): void {
  const name = agents.find((agent) => key.startsWith(`${agent.name}/`))?.name;
  const conversationId = name === undefined ? key : key.slice(name.length + 1);
  const message = JSON.stringify({ type: 'erased', conversationId } satisfies ProcessMessage);
  channel.send(EVERYONE, name === undefined ? message : messageOf(name, message));
}
