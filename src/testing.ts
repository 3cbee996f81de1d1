// layercode-microserver/testing
export { withModel } from './agents/with-model.ts';
export { RecordingError } from './kit/eval/recording.ts';
export { runScenario, ScenarioError } from './kit/eval/run-scenario.ts';
export type { RunScenarioOptions } from './kit/eval/run-scenario.ts';
export { ScriptError } from './kit/eval/script.ts';
export type {
  Outcome, PlayedTurn, ScenarioFailure, ScenarioResult, Tokens, ToolRunSeen,
} from './kit/eval/result.ts';
export { scriptedModel } from './kit/scripted-model.ts';
export type {
  Script, ScriptedFunction, ScriptedModel, ScriptedRequest,
} from './kit/scripted-model.ts';
export type {
  ScriptedAnswer, ScriptedCall, ScriptedCut, ScriptedFailure, ScriptedPart, ScriptedWait,
} from './kit/scripted-answer.ts';
export { createTestClient, TestClient, TestReply } from './kit/test-client.ts';
export type {
  CompletionsClientOptions, LayercodeClientOptions, PostOptions, TestClientOptions, TestEvent,
  TestToolCall, TurnOptions,
} from './kit/test-client.ts';
export type { ProfileName } from './wires/chat-completions/profiles.ts';
