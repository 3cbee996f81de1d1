import { listAgents } from '../../core/agents/built-in/registry.ts';
import { EXIT, UsageError, type Command } from '../terminal/command.ts';
import { columns } from '../terminal/text.ts';

export const listAgentsCommand: Command = {
  name: 'list-agents',
  summary: 'List the built-in agents.',
  help: `Usage: layercode-microserver list-agents

Prints the name and description of every built-in agent, one per line. AGENT and --agent take one of
these names, or the path of your own module.

Example:
  layercode-microserver run --agent bakery

Exit codes: 0 success; 2 wrong arguments.
`,
  async run(argv, { stdout }) {
    if (argv.length > 0) throw new UsageError('list-agents takes no arguments');
    const rows = listAgents().map(({ name, description = '' }) => [name, description]);
    stdout.write(`${columns(rows).join('\n')}\n`);
    return EXIT.OK;
  },
};
