// layercode-microserver
export { createApp } from './app/create-app.ts';
export type { NamedAgents } from './app/assemble-app.ts';
export type { App, ServedAgent } from './app/app.ts';
export type { AppOptions } from './app/app-parts.ts';
export { loadSettings, type LoadSettingsOptions } from './settings/load-settings.ts';
export { parseSettings } from './settings/parse-settings.ts';
export { SettingsError, type Settings } from './settings/settings.ts';
export {
  createLogger, type LogFields, type Logger, type LoggerOptions, type LogLevel,
} from './log.ts';
export { Counter, Gauge, Histogram, type Metrics, type SumMetrics } from './metrics.ts';

export { defineAgent, type AgentDefinition } from './agents/define-agent.ts';
export type {
  Agent, AgentResources, BoundAgent, DataContext, EventContext, InterruptedTurn, MessageTurn,
  ModelAnswer, ModelRequestFailure, ModelResponse, ModelServer, ModelTokens, ModelUsage, Reply,
  RequestEvent, SessionEndContext, Spoken, StartTurn, ToolCallContext, ToolCallOutcome,
  ToolOutcome, ToolRun, Turn, TurnFailure, TurnFailureReason, TurnJournal, UsedTokens,
} from './agents/agent.ts';
export type { ModelAgentDefinition } from './agents/model-agent.ts';
export type { Filler } from './agents/filler.ts';
export type { PerTurn } from './agents/per-turn.ts';
export { defineState, type State } from './agents/state/state.ts';
export { handOver, type HandOver } from './tools/tool-hand-over.ts';
export { NotDone } from './tools/tool-not-done.ts';
export { StateError } from './agents/state/state-error.ts';
export { hangUp } from './tools/tool-hang-up.ts';
export { transferTo } from './tools/tool-transfer.ts';
export {
  tool, type ArgumentsOf, type OnceContext, type TellBrowser, type Tool, type ToolContext,
  type ToolDefinition,
} from './tools/tool.ts';
export { cardNumbers } from './redaction/card-numbers.ts';
export { emailAddresses } from './redaction/email-addresses.ts';
export { UnknownValueError } from './redaction/unknown-value.ts';
export type { Finder, FoundValue } from './redaction/finder.ts';
export type { FinderName, Redact, TextRedactor } from './redaction/redact.ts';
export type { Schema } from './schema/schema.ts';
export type {
  StandardIssue, StandardResult, StandardSchema,
} from './tools/tool-standard-schema.ts';
export { AgentError, getAgent, listAgents } from './agents/built-in/registry.ts';
export { loadAgent } from './app/load-agent.ts';
export { openAgents } from './app/open-agents.ts';

export { ConversationManager, type NewMessage } from './conversations/manager.ts';
export { MemoryStore, type MemoryStoreOptions } from './conversations/memory-store.ts';
export { emptyConversation, type Conversation } from './conversations/conversation.ts';
export type { OnceCall } from './conversations/once-call.ts';
export type {
  ConversationStore, StoreAside, StoreHealth, UpdateOptions,
} from './conversations/store.ts';
export { openStore } from './conversations/stores/open-store.ts';
export type { OnceClaims } from './conversations/stores/once-claims.ts';
export type { OpenStoreOptions, StoreSettings } from './conversations/stores/open-store.ts';
export { openCallRecords, type CallRecordSettings } from './records/open-call-records.ts';
export type { CallRecords } from './records/call-recorder.ts';
export type {
  CallOutcome, CallRecord, EndedCall, RecordedCall, RecordedMessage, RecordedTokens, RecordedTurn,
} from './records/call-record.ts';
export {
  fromIoredis, type IoredisClient, type RedisClient, type RedisPublisher, type RedisScriptCall,
  type RedisSubscriber,
} from './conversations/stores/redis-client.ts';
export { StoreError } from './conversations/stores/store-error.ts';
export type {
  AssistantMessage, Message, ToolCall, ToolCallState, ToolMessage, TurnState, UserMessage,
} from './conversations/message.ts';

export { BadRequest, HttpError, InvalidSignature, ServiceUnavailable } from './http/errors.ts';
export type { Handler, Middleware, Next } from './http/compose.ts';
export type { Context } from './http/context.ts';

export type { Caller } from './calls/call-event.ts';
export type {
  CallReportEvent, CompletionEvent, CompletionMessage,
} from './wires/chat-completions/events.ts';
export { EventError } from './wires/json-body.ts';
export {
  parseEvent, type CallDialectEvent as CallEvent, type CallEndedEvent, type CallStartedEvent,
  type DataEvent, type InterruptionContext, type LayercodeEvent, type MessageEvent,
  type SessionEndEvent, type SessionEvent, type SessionStartEvent, type SessionUpdateEvent,
  type TranscriptEntry, type TranscriptEvent, type UnknownEvent, type UserInterruptedEvent,
} from './wires/layercode/events.ts';
export type { Awaitable } from './base/awaitable.ts';
export type { Channel } from './base/channel.ts';
export type { Environment } from './base/environment.ts';
export type { Json, JsonObject } from './base/json.ts';
export type { TracedTurn, TurnHappening, TurnPoint } from './turns/report/turn-points.ts';
export {
  signPayload, verifySignature, type SignOptions, type VerifyOptions,
} from './wires/layercode/signature.ts';
export { openModel, type OpenedModel, type OpenModelOptions } from './models/open-model.ts';
export {
  ModelError, type ChatMessage, type ChatModel, type ModelDelta, type ModelErrorCode,
  type ModelOptions, type ModelStreamOptions, type ModelTool, type RequestFailure, type ToolChoice,
} from './models/model.ts';
export { SpeakableText } from './speech/speakable.ts';
export { encodeEvent, type SseEvent } from './sse/encode.ts';
export { SseEncoder, type SseEncoderOptions } from './http/event-stream.ts';
