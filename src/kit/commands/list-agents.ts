import { listAgents } from '../../agents/built-in/registry.ts';
import { EXIT, UsageError, type Command } from '../terminal/command.ts';

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
    const agents = listAgents();
    const width = Math.max(...agents.map(({ name }) => name.length));
    stdout.write(
      agents
        .map(({ name, description = '' }) => `${name.padEnd(width)}  ${description}`.trimEnd())
        .join('\n') + '\n',
    );
    return EXIT.OK;
  },
};
