// What agents do besides speaking, and what is kept of it. One file, because each file takes time
// to load.

export { ToolCalls, TurnWork } from '../../core/turns/agent-work.ts';
export { OtherProcesses } from '../../core/turns/other-processes.ts';
export { FigureTaker } from '../../core/turns/report/figures.ts';
export { agentChannels } from './agent-channels.ts';
export { bindAgent, callLimits, hasUsableModel } from './bind-agent.ts';
