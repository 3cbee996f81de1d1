// layercode-microserver
export { createApp } from './server/app/create-app.ts';
export type { NamedAgents } from './server/app/assemble-app.ts';
export type { App, ServedAgent } from './server/app/app.ts';
export type { AppOptions } from './server/app/app-parts.ts';
export { loadSettings, type LoadSettingsOptions } from './server/settings/load-settings.ts';
export { parseSettings } from './server/settings/parse-settings.ts';
export { SettingsError, type Settings } from './server/settings/settings.ts';
export {
  createLogger, type LogFields, type Logger, type LoggerOptions, type LogLevel,
} from './base/log.ts';
export { Counter, Gauge, Histogram, type Metrics, type SumMetrics } from './base/metrics.ts';

export { defineAgent, type AgentDefinition } from './core/agents/define-agent.ts';
export type {
  Agent, AgentResources, BoundAgent, DataContext, EventContext, InterruptedTurn, MessageTurn,
  ModelAnswer, ModelRequestFailure, ModelResponse, ModelServer, ModelTokens, ModelUsage, Reply,
  RequestEvent, SessionEndContext, Spoken, StartTurn, ToolCallContext, ToolCallOutcome,
  ToolOutcome, ToolRun, Turn, TurnFailure, TurnFailureReason, TurnJournal, UsedTokens,
} from './core/agents/agent.ts';
export type { ModelAgentDefinition } from './core/agents/model-agent.ts';
export type { Filler } from './core/agents/filler.ts';
export type { PerTurn } from './core/agents/per-turn.ts';
export { defineState, type State } from './core/state/state.ts';
export { handOver, type HandOver } from './core/tools/tool-hand-over.ts';
export { NotDone } from './core/tools/tool-not-done.ts';
export { StateError } from './core/state/state-error.ts';
export { hangUp } from './core/tools/tool-hang-up.ts';
export { transferTo } from './core/tools/tool-transfer.ts';
export {
  tool, type ArgumentsOf, type OnceContext, type TellBrowser, type Tool, type ToolContext,
  type ToolDefinition,
} from './core/tools/tool.ts';
export { cardNumbers } from './core/redaction/card-numbers.ts';
export { emailAddresses } from './core/redaction/email-addresses.ts';
export { UnknownValueError } from './core/redaction/unknown-value.ts';
export type { Finder, FoundValue } from './core/redaction/finder.ts';
export type { FinderName, Redact, TextRedactor } from './core/redaction/redact.ts';
export type { Schema } from './base/schema/schema.ts';
export type {
  StandardIssue, StandardResult, StandardSchema,
} from './core/tools/tool-standard-schema.ts';
export { AgentError, getAgent, listAgents } from './core/agents/built-in/registry.ts';
export { loadAgent } from './server/app/load-agent.ts';
export { openAgents } from './server/app/open-agents.ts';

export { ConversationManager, type NewMessage } from './core/conversations/manager.ts';
export { MemoryStore, type MemoryStoreOptions } from './core/conversations/memory-store.ts';
export { emptyConversation, type Conversation } from './core/conversations/conversation.ts';
export type { OnceCall } from './core/conversations/once-call.ts';
export type {
  ConversationStore, StoreAside, StoreHealth, UpdateOptions,
} from './core/conversations/store.ts';
export { openStore } from './core/conversations/stores/open-store.ts';
export type { OnceClaims } from './core/conversations/stores/once-claims.ts';
export type { OpenStoreOptions, StoreSettings } from './core/conversations/stores/open-store.ts';
export { openCallRecords, type CallRecordSettings } from './server/records/open-call-records.ts';
export type { EndedCall, RecordedCall } from './core/calls/ended-call.ts';
export type { CallRecords } from './server/records/call-recorder.ts';
export type {
  CallOutcome, CallRecord, RecordedMessage, RecordedTokens, RecordedTurn,
} from './server/records/call-record.ts';
export {
  fromIoredis, type IoredisClient, type RedisClient, type RedisPublisher, type RedisScriptCall,
  type RedisSubscriber,
} from './core/conversations/stores/redis-client.ts';
export { StoreError } from './core/conversations/stores/store-error.ts';
export type {
  AssistantMessage, Message, ToolCall, ToolCallState, ToolMessage, TurnState, UserMessage,
} from './core/conversations/message.ts';

export { BadRequest, HttpError, InvalidSignature, ServiceUnavailable } from './base/http/errors.ts';
export type { Handler, Middleware, Next } from './base/http/compose.ts';
export type { Context } from './base/http/context.ts';

export type { Caller } from './core/calls/call-event.ts';
export type {
  CallReportEvent, CompletionEvent, CompletionMessage,
} from './core/wires/chat-completions/events.ts';
export { EventError } from './core/wires/json-body.ts';
export {
  parseEvent, type CallDialectEvent as CallEvent, type CallEndedEvent, type CallStartedEvent,
  type DataEvent, type InterruptionContext, type LayercodeEvent, type MessageEvent,
  type SessionEndEvent, type SessionEvent, type SessionStartEvent, type SessionUpdateEvent,
  type TranscriptEntry, type TranscriptEvent, type UnknownEvent, type UserInterruptedEvent,
} from './core/wires/layercode/events.ts';
export type { Awaitable } from './base/awaitable.ts';
export type { Channel } from './base/channel.ts';
export type { Environment } from './base/environment.ts';
export type { Json, JsonObject } from './base/json.ts';
export type { TracedTurn, TurnHappening, TurnPoint } from './core/turns/report/turn-points.ts';
export {
  signPayload, verifySignature, type SignOptions, type VerifyOptions,
} from './core/wires/layercode/signature.ts';
export { openModel, type OpenedModel, type OpenModelOptions } from './core/models/open-model.ts';
export {
  ModelError, type ChatMessage, type ChatModel, type ModelDelta, type ModelErrorCode,
  type ModelOptions, type ModelStreamOptions, type ModelTool, type RequestFailure, type ToolChoice,
} from './core/models/model.ts';
export { SpeakableText } from './base/speech/speakable.ts';
export { encodeEvent, type SseEvent } from './base/sse/encode.ts';
export { SseEncoder, type SseEncoderOptions } from './base/http/event-stream.ts';
