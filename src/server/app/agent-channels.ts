import type { Channel } from '../../base/channel.ts';

/**
 * Splits an app's channel into one per agent: what an agent sends reaches the same agent in the
 * other process. Closing is left to the app's channel.
 */
export function agentChannels(channel: Channel): (agentName: string) => Channel {
  const listeners = new Map<string, (message: string) => void>();
  channel.listen((text) => {
    const end = text.indexOf(' '); // agent names contain no space
    listeners.get(text.slice(0, Math.max(0, end)))?.(text.slice(end + 1));
  });
  return (agentName) => ({
    get address() {
      return channel.address;
    },
    send: (address, message) => channel.send(address, `${agentName} ${message}`),
    listen: (listener) => void listeners.set(agentName, listener),
    close: () => undefined,
  });
}
