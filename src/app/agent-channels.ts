import type { Channel } from '../base/channel.ts';

/**
 * A channel for each of several agents over the one that an app has: what an agent sends reaches
 * the same agent in the other process. Close the app's own.
 */
export function agentChannels(channel: Channel): (agentName: string) => Channel {
  const listeners = new Map<string, (message: string) => void>();
  channel.listen((text) => {
    const end = text.indexOf(' '); // no agent's name has one
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
