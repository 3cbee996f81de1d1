import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { agentChannels, tellErased } from '../../src/app/agent-channels.ts';
import type { Channel } from '../../src/base/channel.ts';

/** Hears itself what it sends. */
class Loop implements Channel {
  readonly address = 'here';
  isOpen: boolean | undefined;
  readonly sent: string[] = [];
  readonly listeners: ((message: string) => void)[] = [];

  send(address: string, message: string): void {
    this.sent.push(`${address}: ${message}`);
    for (const listener of this.listeners) listener(message);
  }

  reopened: (() => void) | undefined;

  listen(listener: (message: string) => void, reopened?: () => void): void {
    this.listeners.push(listener);
    this.reopened = reopened;
  }

  close(): void {
    throw new Error('closed by an agent');
  }
}

describe('agentChannels', () => {
  it('bring a message to the agent that sent it, and to no other', () => {
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

  it('tell all agents that messages may have been lost', () => {
    const loop = new Loop();
    const channelFor = agentChannels(loop);
    const told: string[] = [];
    for (const name of ['sales', 'support'])
      channelFor(name).listen(() => undefined, () => told.push(name));
    loop.reopened?.();
    assert.deepEqual(told, ['sales', 'support']);
  });

  it('are as open as the channel that they share', () => {
    const loop = new Loop();
    const channel = agentChannels(loop)('sales');
    const seen = [undefined, false, true].map((isOpen) => ((loop.isOpen = isOpen), channel.isOpen));
    assert.deepEqual(seen, [undefined, false, true]);
  });

  it('drop what is for no agent of this process', () => {
    const loop = new Loop();
    const channel = agentChannels(loop)('sales');
    channel.listen(() => assert.fail('heard'));
    for (const message of ['billing {}', '{"type":"ask"}', '', ' {}']) loop.send('here', message);
  });

  it('leave the channel open when one of them is closed, and have its address', () => {
    const channel = agentChannels(new Loop())('sales');
    void channel.close();
    assert.equal(channel.address, 'here');
  });
});

describe('tellErased', () => {
  for (const [key, heard] of [
    ['sales/c 1', ['sales: c 1']], ['support/c', ['support: c']], ['c', []], ['other/c', []],
  ] as const) {
    it(`reaches the agent whose conversation it was: ${key}`, () => {
      const loop = new Loop();
      const channelFor = agentChannels(loop);
      const names = ['sales', 'support'];
      const told: string[] = [];
      for (const name of names)
        channelFor(name).listen((text) => {
          const { type, conversationId } = JSON.parse(text) as Record<string, string>;
          assert.equal(type, 'erased');
          told.push(`${name}: ${conversationId}`);
        });
      tellErased(loop, names.map((name) => ({ name })), key);
      assert.deepEqual(told, heard);
    });
  }

  it('reaches a server of one agent', () => {
    const loop = new Loop();
    tellErased(loop, [], 'c');
    assert.deepEqual(loop.sent, ['*: {"type":"erased","conversationId":"c"}']);
  });

  it('reaches a program with several agents of its own, which no setting names', () => {
    const loop = new Loop();
    tellErased(loop, [], 'sales/c');
    assert.deepEqual(loop.sent, [
      '*: sales {"type":"erased","conversationId":"c"}',
      '*: {"type":"erased","conversationId":"sales/c"}',
    ]);
  });
});
