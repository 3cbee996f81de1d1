// What the package hands out, and what package.json says of it.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import * as main from '../src/index.ts';
import * as platform from '../src/platform.ts';
import * as testing from '../src/testing.ts';
import { filesBelow, ROOT } from './fixtures/source-files.ts';

const SRC = join(ROOT, 'src');

interface Package {
  readonly type: string;
  readonly dependencies?: object;
  readonly optionalDependencies?: object;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly bin: Readonly<Record<string, string>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly engines: { readonly node: string };
}

describe('package.json', () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Package;

  it('has no dependencies', () => {
    assert.deepEqual(
      [Object.keys(manifest.dependencies ?? {}), Object.keys(manifest.optionalDependencies ?? {})],
      [[], []],
    );
  });

  it('is developed with what design.md allows', () => {
    const allowed = ['@types/node', 'esbuild', 'redis', 'tsx', 'typescript'];
    assert.deepEqual(
      Object.keys(manifest.devDependencies).filter((name) => !allowed.includes(name)),
      [],
    );
  });

  it('has every test file among those that CI runs', () => {
    const ci = readFileSync(join(ROOT, '.ci/run'), 'utf8');
    const kinds = readFileSync(join(ROOT, 'scripts/test.mjs'), 'utf8')
      .matchAll(/^ {2}(\w+): \{ ending: '([^']+)'/gm);
    const endings = [...kinds]
      .filter(([, kind]) => new RegExp(`^ *(?:.* )?tests "\\$\\w+" ${kind}\\b`, 'm').test(ci))
      .map(([, , ending = '']) => ending);
    const tests = filesBelow('test').filter((path) => path.endsWith('test.ts'));
    assert.ok(tests.length > 200);
    const forgotten = tests.filter((path) => !endings.some((ending) => path.endsWith(ending)));
    assert.deepEqual(forgotten, []);
  });

  it('asks for the Node version of design.md', () =>
    assert.equal(manifest.engines.node, '>=20.19'));

  it('points to files that the build makes', () => {
    const targets = [
      ...Object.values(manifest.bin),
      ...Object.values(manifest.exports).flatMap((target) =>
        typeof target === 'string' ? target : Object.values(target),
      ),
    ];
    const sources = targets
      .filter((target) => target.includes('dist/'))
      .map((target) => target.replace(/^(\.\/)?dist\//, '').replace(/(\.d\.ts|\.js)$/, '.ts'));
    assert.deepEqual(
      sources.filter((source) => !existsSync(join(SRC, source))),
      [],
    );
  });
});

/** What a package exports, types included, in the order of the alphabet. */
function exportedBy(file: string): string[] {
  const source = readFileSync(join(SRC, file), 'utf8');
  return [...source.matchAll(/^export (?:type )?\{([^}]+)\}/gm)]
    .flatMap(([, names = '']) =>
      names
        .split(',')
        .map((name) => name.trim().replace(/^.* as /, ''))
        .filter(Boolean),
    )
    .sort();
}

/** What a door hands out without a docstring at its declaration, as `file: name`. */
function withoutDocstring(door: string): string[] {
  const exported = readFileSync(join(SRC, door), 'utf8')
    .matchAll(/^export (?:type )?\{([^}]+)\} from '([^']+)'/gm);
  return [...exported].flatMap(([, names = '', file = '']) => {
    const source = readFileSync(join(SRC, file), 'utf8');
    const isBare = (name: string): boolean => {
      const kind = '(?:const|(?:async )?function|class|interface|type)';
      const declared = new RegExp(`(\\*/\\n)?^export ${kind} ${name}\\b`, 'm').exec(source);
      return declared !== null && declared[1] === undefined;
    };
    return names.split(',').map((name) => name.trim().replace(/ as .*$/, ''))
      .filter((name) => name !== '' && isBare(name)).map((name) => `${file}: ${name}`);
  });
}

describe('a door of the package', () => {
  for (const door of ['index.ts', 'testing.ts', 'platform.ts']) {
    it(`${door} hands out nothing without a docstring`, () =>
      assert.deepEqual(withoutDocstring(door), []));
  }
});

describe('layercode-microserver', () => {
  it('exports these values', () => {
    assert.deepEqual(Object.keys(main).sort(), [
      'AgentError',
      'BadRequest',
      'ConversationManager',
      'Counter',
      'EventError',
      'Gauge',
      'Histogram',
      'HttpError',
      'InvalidSignature',
      'MemoryStore',
      'ModelError',
      'NotDone',
      'ServiceUnavailable',
      'SettingsError',
      'SpeakableText',
      'SseEncoder',
      'StateError',
      'StoreError',
      'UnknownValueError',
      'cardNumbers',
      'createApp',
      'createLogger',
      'defineAgent',
      'defineState',
      'emailAddresses',
      'emptyConversation',
      'encodeEvent',
      'fromIoredis',
      'getAgent',
      'handOver',
      'hangUp',
      'listAgents',
      'loadAgent',
      'loadSettings',
      'openAgents',
      'openCallRecords',
      'openModel',
      'openStore',
      'parseEvent',
      'parseSettings',
      'signPayload',
      'tool',
      'transferTo',
      'verifySignature',
    ]);
  });

  it('exports these types', () => {
    assert.deepEqual(
      exportedBy('index.ts').filter((name) => !Object.hasOwn(main, name)),
      [
        'Agent',
        'AgentDefinition',
        'AgentResources',
        'App',
        'AppOptions',
        'ArgumentsOf',
        'AssistantMessage',
        'Awaitable',
        'BoundAgent',
        'CallEndedEvent',
        'CallEvent',
        'CallOutcome',
        'CallRecord',
        'CallRecordSettings',
        'CallRecords',
        'CallReportEvent',
        'CallStartedEvent',
        'Caller',
        'Channel',
        'ChatMessage',
        'ChatModel',
        'CompletionEvent',
        'CompletionMessage',
        'Context',
        'Conversation',
        'ConversationStore',
        'DataContext',
        'DataEvent',
        'EndedCall',
        'Environment',
        'EventContext',
        'Filler',
        'Finder',
        'FinderName',
        'FoundValue',
        'HandOver',
        'Handler',
        'InterruptedTurn',
        'InterruptionContext',
        'IoredisClient',
        'Json',
        'JsonObject',
        'LayercodeEvent',
        'LoadSettingsOptions',
        'LogFields',
        'LogLevel',
        'Logger',
        'LoggerOptions',
        'MemoryStoreOptions',
        'Message',
        'MessageEvent',
        'MessageTurn',
        'Metrics',
        'Middleware',
        'ModelAgentDefinition',
        'ModelAnswer',
        'ModelDelta',
        'ModelErrorCode',
        'ModelOptions',
        'ModelRequestFailure',
        'ModelResponse',
        'ModelServer',
        'ModelStreamOptions',
        'ModelTokens',
        'ModelTool',
        'ModelUsage',
        'NamedAgents',
        'NewMessage',
        'Next',
        'OnceCall',
        'OnceClaims',
        'OnceContext',
        'OpenModelOptions',
        'OpenStoreOptions',
        'OpenedModel',
        'PerTurn',
        'RecordedCall',
        'RecordedMessage',
        'RecordedTokens',
        'RecordedTurn',
        'Redact',
        'RedisClient',
        'RedisPublisher',
        'RedisScriptCall',
        'RedisSubscriber',
        'Reply',
        'RequestEvent',
        'RequestFailure',
        'Schema',
        'ServedAgent',
        'SessionEndContext',
        'SessionEndEvent',
        'SessionEvent',
        'SessionStartEvent',
        'SessionUpdateEvent',
        'Settings',
        'SignOptions',
        'Spoken',
        'SseEncoderOptions',
        'SseEvent',
        'StandardIssue',
        'StandardResult',
        'StandardSchema',
        'StartTurn',
        'State',
        'StoreAside',
        'StoreHealth',
        'StoreSettings',
        'SumMetrics',
        'TellBrowser',
        'TextRedactor',
        'Tool',
        'ToolCall',
        'ToolCallContext',
        'ToolCallOutcome',
        'ToolCallState',
        'ToolChoice',
        'ToolContext',
        'ToolDefinition',
        'ToolMessage',
        'ToolOutcome',
        'ToolRun',
        'TracedTurn',
        'TranscriptEntry',
        'TranscriptEvent',
        'Turn',
        'TurnFailure',
        'TurnFailureReason',
        'TurnHappening',
        'TurnJournal',
        'TurnPoint',
        'TurnState',
        'UnknownEvent',
        'UpdateOptions',
        'UsedTokens',
        'UserInterruptedEvent',
        'UserMessage',
        'VerifyOptions',
      ],
    );
  });
});

describe('layercode-microserver/platform', () => {
  it('exports these values', () => assert.deepEqual(Object.keys(platform), ['LocalPlatform']));

  it('exports these types', () => {
    assert.deepEqual(
      exportedBy('platform.ts').filter((name) => !Object.hasOwn(platform, name)),
      ['LocalPlatformOptions'],
    );
  });
});

describe('layercode-microserver/testing', () => {
  it('exports these values', () =>
    assert.deepEqual(Object.keys(testing).sort(), [
      'RecordingError',
      'ScenarioError',
      'ScriptError',
      'TestClient',
      'TestReply',
      'createTestClient',
      'runScenario',
      'scriptedModel',
      'withModel',
    ]));

  it('exports these types', () => {
    assert.deepEqual(
      exportedBy('testing.ts').filter((name) => !Object.hasOwn(testing, name)),
      [
        'CompletionsClientOptions',
        'LayercodeClientOptions',
        'Outcome',
        'PlayedTurn',
        'PostOptions',
        'ProfileName',
        'RunScenarioOptions',
        'ScenarioFailure',
        'ScenarioResult',
        'Script',
        'ScriptedAnswer',
        'ScriptedCall',
        'ScriptedCut',
        'ScriptedFailure',
        'ScriptedFunction',
        'ScriptedModel',
        'ScriptedPart',
        'ScriptedRequest',
        'ScriptedWait',
        'TestClientOptions',
        'TestEvent',
        'TestToolCall',
        'Tokens',
        'ToolRunSeen',
        'TurnOptions',
      ],
    );
  });
});
