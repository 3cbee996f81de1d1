// layercode-microserver/testing
export { withModel } from './core/agents/with-model.ts';
export { RecordingError } from './kit/eval/recording.ts';
export { runScenario, ScenarioError, type RunScenarioOptions } from './kit/eval/run-scenario.ts';
export { ScriptError } from './kit/eval/script.ts';
export type {
  Outcome, PlayedTurn, ScenarioFailure, ScenarioResult, Tokens, ToolRunSeen,
} from './kit/eval/result.ts';
export {
  scriptedModel, type Script, type ScriptedFunction, type ScriptedModel, type ScriptedRequest,
} from './kit/scripted-model.ts';
export type {
  ScriptedAnswer, ScriptedCall, ScriptedCut, ScriptedFailure, ScriptedPart, ScriptedWait,
} from './kit/scripted-answer.ts';
export {
  createTestClient, TestClient, TestReply, type CompletionsClientOptions,
  type LayercodeClientOptions, type PostOptions, type TestClientOptions, type TestEvent,
  type TestToolCall, type TurnOptions,
} from './kit/test-client.ts';
export type { ProfileName } from './core/wires/chat-completions/profiles.ts';
