// What agents do besides speaking, and what their turns wait for. Not loaded for an agent that only
// speaks, with conversations in memory.

export { ToolCalls } from '../tools/tool-calls.ts';
export { TurnWork } from './report/turn-work.ts';
