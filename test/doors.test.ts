// Whoever implements or receives a type of the package can name the types that it is made of.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { DOORS, namesFrom, type Place } from './fixtures/declarations.ts';
import { ROOT } from './fixtures/source-files.ts';

/**
 * Types that nobody needs to name: parts of a type or members of a union that is exported whole,
 * what a type is computed from, and what the engine passes to itself.
 */
const INNER = [
  'AnySchema', 'AppPlatform', 'ArgumentsCheck', 'Behaviour', 'CALL_OUTCOMES', 'CallEvent',
  'CallFields', 'CapturedTurn', 'CommonOptions', 'DefaultOptions', 'EndedCallRecords',
  'EventWriterOptions', 'FailureFigures', 'FillerFigures', 'HookDefinition', 'JsonFields',
  'JsonSchemaObject', 'KnownCaller', 'KnownTool', 'LiveStates', 'Meter', 'ModelBegan',
  'ModelCompleted', 'ModelFailed', 'ModelFigures', 'ModelReplaced', 'ModelRetried', 'ModelSent',
  'OnceCalls', 'OutputOf', 'Placeholders', 'PROFILES', 'PromptDefinition', 'RawEvent',
  'ReadConversation', 'RequestFigures', 'RetryOptions', 'SchemaType', 'SessionFields',
  'SettingValues', 'Shorthands', 'SpentEntry', 'StateRedactors', 'StoreWaited', 'Subschema',
  'TELLINGS', 'Timeouts', 'ToolEnded', 'ToolFigures', 'ToolStarted', 'TURN_STATES',
  'TurnApologised', 'TurnEnded', 'TurnInterrupted', 'TurnRecord', 'TurnSpoke', 'TurnStarted',
  'ValueOf', 'Written',
];

function read(file: string): string {
  return readFileSync(file, 'utf8').replace(/\/\*[^]*?\*\//g, '');
}

/** The text of a declaration, or undefined if the file does not have it. */
function declared({ file, name }: Place): string | undefined {
  const start = `(?:export )?(?:declare )?(?:const|function|class|interface|type) ${name}\\b`;
  return new RegExp(`^${start}[^]*?(?=^(?:export|declare|interface|type|import)\\b|(?![^]))`, 'm')
    .exec(read(file))?.[0];
}

/** Where a name that a file uses is declared. Undefined for the names of TypeScript and Node. */
function homeOf(place: Place): Place | undefined {
  if (declared(place) !== undefined) return place;
  const { file, name } = place;
  const next = namesFrom(file, 'export').get(name) ?? namesFrom(file, 'import').get(name);
  return next && homeOf(next);
}

function key({ file, name }: Place): string {
  return `${file} ${name}`;
}

describe('the types of the package', () => {
  const doors = DOORS.flatMap((door) => [
    ...namesFrom(join(ROOT, 'dist', `${door}.d.ts`), 'export').values(),
  ]);
  const exported = doors.flatMap((place) => homeOf(place) ?? []);
  const names = new Set(exported.map(key));
  /** The types that a declaration names. Those of classes are left out: only we construct these. */
  const namedBy = (place: Place): Place[] => {
    const text = (declared(place) ?? '').replaceAll(/'[^']*'/g, '');
    if (/^export declare class/.test(text)) return [];
    const words = new Set(text.match(/(?<![.\w$])[A-Z]\w*/g));
    words.delete(place.name);
    return [...words].flatMap((name) => homeOf({ file: place.file, name }) ?? []);
  };

  it('can be traced to their declarations', () => {
    assert.ok(doors.length > 100);
    assert.equal(exported.length, doors.length);
  });

  it('refer to no type that is not exported too', () => {
    const missing = exported.flatMap((place) =>
      namedBy(place)
        .filter((used) => !names.has(key(used)) && !INNER.includes(used.name))
        .map((used) => `${place.name} names ${used.name}`));
    assert.deepEqual(missing, []);
  });

  it('have no unneeded exceptions', () => {
    const used = new Set(exported.flatMap(namedBy).filter((place) => !names.has(key(place)))
      .map(({ name }) => name));
    assert.deepEqual(INNER.filter((name) => !used.has(name)), []);
  });
});
