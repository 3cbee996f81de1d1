import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { listAgents } from '../../../src/core/agents/built-in/registry.ts';
import { listAgentsCommand } from '../../../src/kit/commands/list-agents.ts';
import { RecordedTerminal } from '../terminal/recorded-terminal.ts';

describe('listAgentsCommand', () => {
  it('prints each built-in agent on its own line, with all descriptions aligned', async () => {
    const terminal = new RecordedTerminal();
    assert.equal(await listAgentsCommand.run([], terminal), 0);
    const lines = terminal.out.trimEnd().split('\n');
    assert.deepEqual(
      lines.map((line) => line.split(/ {2,}/)),
      listAgents().map(({ name, description }) => [name, description]),
    );
    assert.equal(new Set(lines.map((line) => line.search(/(?<= {2})\S/))).size, 1);
  });

  it('takes no arguments', async () => {
    const terminal = new RecordedTerminal();
    await assert.rejects(listAgentsCommand.run(['echo'], terminal), {
      name: 'UsageError',
      message: 'list-agents takes no arguments',
    });
  });
});
