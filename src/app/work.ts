// What agents do besides speaking, and what is kept of it. One file, because each file takes time
// to load.

export { ToolCalls, TurnWork } from '../turns/agent-work.ts';
export { OtherProcesses } from '../turns/other-processes.ts';
export { FigureTaker } from '../turns/report/figures.ts';
export { agentChannels } from './agent-channels.ts';
export { bindAgent, callLimits, hasUsableModel } from './bind-agent.ts';
