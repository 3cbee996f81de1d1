// layercode-microserver/testing
export { withModel } from './agents/with-model.ts';
export { RecordingError } from './eval/recording.ts';
export { runScenario, ScenarioError } from './eval/run-scenario.ts';
export type { RunScenarioOptions } from './eval/run-scenario.ts';
export { ScriptError } from './eval/script.ts';
export type {
  Outcome, PlayedTurn, ScenarioFailure, ScenarioResult, Tokens, ToolRunSeen,
} from './eval/result.ts';
export { scriptedModel } from './models/scripted-model.ts';
export type {
  Script, ScriptedFunction, ScriptedModel, ScriptedRequest,
} from './models/scripted-model.ts';
export type {
  ScriptedAnswer, ScriptedCall, ScriptedFailure, ScriptedPart, ScriptedWait,
} from './models/scripted-answer.ts';
export { createTestClient, TestClient, TestReply } from './test-client.ts';
export type {
  CompletionsClientOptions, LayercodeClientOptions, PostOptions, TestClientOptions, TestEvent,
  TestToolCall, TurnOptions,
} from './test-client.ts';
export type { ProfileName } from './wires/chat-completions/profiles.ts';
