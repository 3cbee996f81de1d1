import { listAgents as builtInAgents } from '../../agents/built-in/registry.ts';
import { EXIT, UsageError, type Command } from '../terminal/command.ts';

export const listAgents: Command = {
  name: 'list-agents',
  summary: 'List the built-in agents.',
  help: `Usage: layercode-microserver list-agents

Prints the name and the description of every built-in agent, a line each. AGENT and --agent take a
name of them, or the path of a module of your own.

Example:
  layercode-microserver run --agent bakery

Exit codes: 0 it is done; 2 the arguments are wrong.
`,
  async run(argv, { stdout }) {
    if (argv.length > 0) throw new UsageError('list-agents takes no arguments');
    const agents = builtInAgents();
    const width = Math.max(...agents.map(({ name }) => name.length));
    stdout.write(
      agents
        .map(({ name, description = '' }) => `${name.padEnd(width)}  ${description}`.trimEnd())
        .join('\n') + '\n',
    );
    return EXIT.OK;
  },
};
