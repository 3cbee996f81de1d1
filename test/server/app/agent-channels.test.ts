import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Channel } from '../../../src/base/channel.ts';
import { agentChannels } from '../../../src/server/app/agent-channels.ts';

/** Hears what it sends. */
class Loop implements Channel {
  readonly address = 'here';
  readonly sent: string[] = [];
  readonly listeners: ((message: string) => void)[] = [];

  send(address: string, message: string): void {
    this.sent.push(`${address}: ${message}`);
    for (const listener of this.listeners) listener(message);
  }

  listen(listener: (message: string) => void): void {
    this.listeners.push(listener);
  }

  close(): void {
    throw new Error('closed by an agent');
  }
}

describe('agentChannels', () => {
  it('pass a message to the agent of the same name, and to no other', () => {
    const loop = new Loop();
    const channelFor = agentChannels(loop);
    const heard: string[] = [];
    const names = ['sales', 'support'];
    const [sales] = names.map((name) => {
      const channel = channelFor(name);
      channel.listen((message) => heard.push(`${name} heard ${message}`));
      return channel;
    });
    sales?.send('there', '{"a": "b c"}');
    assert.deepEqual(heard, ['sales heard {"a": "b c"}']);
    assert.deepEqual([loop.sent, loop.listeners.length], [['there: sales {"a": "b c"}'], 1]);
  });

  it('drop messages for agents that this process lacks', () => {
    const loop = new Loop();
    const channel = agentChannels(loop)('sales');
    channel.listen(() => assert.fail('heard'));
    for (const message of ['billing {}', '{"type":"look"}', '', ' {}']) loop.send('here', message);
  });

  it('leave the channel open when one of them is closed, and share its address', () => {
    const channel = agentChannels(new Loop())('sales');
    void channel.close();
    assert.equal(channel.address, 'here');
  });
});
