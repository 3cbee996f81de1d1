// Finds what has changed between two versions of a JSON object, and makes the same changes to a
// third. When two writers have changed one object, each change is fitted into what the other has
// made of it. docs/agents.md says what that means for an agent's state.

import { isDeepStrictEqual } from 'node:util';

import { canonicalJson } from './canonical-json.ts';
import { parseJson } from './json.ts';

type JsonMap = Record<string, unknown>;

/** Property names, from the root down. No path leads through an array. */
type Path = readonly string[];

/**
 * One change. `was`: the value before, missing if there was none. `set` without `to` removes. Array
 * elements have the index that they had before any of these changes.
 */
export type Difference = { readonly path: Path } & (
  | { readonly kind: 'set'; readonly was?: unknown; readonly to?: unknown }
  | {
      readonly kind: 'replace';
      readonly index: number;
      readonly was: unknown;
      readonly to: unknown;
    }
  | { readonly kind: 'remove'; readonly index: number; readonly was: unknown }
  /** Inserted before the element that had that index: `next`. */
  | {
      readonly kind: 'insert';
      readonly index: number;
      readonly next: unknown;
      readonly items: readonly unknown[];
    }
  | { readonly kind: 'append'; readonly items: readonly unknown[] }
);

/**
 * How many pairs of elements are compared, over all lists of two objects: enough for 100 changed
 * elements in a row. A list beyond it counts as set.
 */
const MAX_COMPARED = 10_000;
/** What is nested deeper counts as set. */
const MAX_LEVELS = 8;

/** The changes in a value from elsewhere. Undefined if it is anything else. */
export function differencesIn(value: unknown): readonly Difference[] | undefined {
  return Array.isArray(value) && value.every(isDifference) ? value : undefined;
}

function isDifference(value: unknown): value is Difference {
  if (!isMap(value)) return false;
  const { path, kind, index, items } = value;
  if (!Array.isArray(path) || !path.every((name) => typeof name === 'string')) return false;
  if (kind === 'set') return path.length > 0;
  if (kind === 'append') return Array.isArray(items);
  if (!Number.isSafeInteger(index) || Number(index) < 0) return false;
  return kind === 'replace' || kind === 'remove' || (kind === 'insert' && Array.isArray(items));
}

/**
 * The changes that turn one JSON object into the other. Neither object is modified. `level`: how
 * deep they are in what is compared.
 */
export function differencesOf(from: JsonMap, to: JsonMap, level = 1): Difference[] {
  let comparisonsLeft = MAX_COMPARED;
  const ofMaps = (before: JsonMap, after: JsonMap, path: Path, depth: number): Difference[] => {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return names.flatMap((name): Difference[] => {
      const [was, is] = [valueOf(before, name), valueOf(after, name)];
      const inner = [...path, name];
      const isSet = depth >= MAX_LEVELS;
      if (!isSet && isMap(was) && isMap(is)) return ofMaps(was, is, inner, depth + 1);
      if (!isSet && Array.isArray(was) && Array.isArray(is)) {
        const [start, end] = equalEnds(was, is);
        const changed = was.length - start - end;
        const comparisons = changed * Math.max(changed, is.length - start - end);
        if (comparisons <= comparisonsLeft) {
          comparisonsLeft -= comparisons;
          return differencesOfLists(was, is, inner, start, end);
        }
      }
      return isEqual(was, is) ? [] : [{ path: inner, kind: 'set', was, to: is }];
    });
  };
  return ofMaps(from, to, [], level);
}

/** How many elements are equal at the start of two lists, and how many others at their end. */
function equalEnds(from: readonly unknown[], to: readonly unknown[]): readonly [number, number] {
  const shorter = Math.min(from.length, to.length);
  let start = 0;
  while (start < shorter && isEqual(from[start], to[start])) start += 1;
  let end = 0;
  while (end < shorter - start && isEqual(from.at(-1 - end), to.at(-1 - end))) end += 1;
  return [start, end];
}

/**
 * Elements in both lists stay. Between them, others count as replaced one by one, or as removed.
 * The rest count as inserted before the next one that stays, or as appended. `start` and `end`: how
 * many are equal at the ends.
 */
function differencesOfLists(
  from: readonly unknown[],
  to: readonly unknown[],
  path: Path,
  start: number,
  end: number,
): Difference[] {
  const [left, right] = [from.slice(start, from.length - end), to.slice(start, to.length - end)];
  const changes: Difference[] = [];
  let [was, is] = [start, start];
  for (const [i, j] of [...longestCommon(left, right), [left.length, right.length] as const]) {
    const [nextWas, nextIs] = [start + i, start + j];
    const pairs = Math.min(nextWas - was, nextIs - is);
    const isMore = nextIs - is > pairs;
    for (let index = was; index < was + pairs; index++)
      changes.push({ path, kind: 'replace', index, was: from[index], to: to[index - was + is] });
    for (let index = was + pairs; index < nextWas; index++)
      changes.push({ path, kind: 'remove', index, was: from[index] });
    const items = to.slice(is + pairs, nextIs);
    if (isMore && nextWas < from.length)
      changes.push({ path, kind: 'insert', index: nextWas, next: from[nextWas], items });
    else if (isMore) changes.push({ path, kind: 'append', items });
    [was, is] = [nextWas + 1, nextIs + 1];
  }
  return changes;
}

/** A longest common subsequence. https://en.wikipedia.org/wiki/Longest_common_subsequence */
function longestCommon(
  from: readonly unknown[],
  to: readonly unknown[],
): readonly [number, number][] {
  if (from.length === 0 || to.length === 0) return [];
  const [left, right] = [from, to].map((list) => list.map((item) => JSON.stringify(item)));
  if (left === undefined || right === undefined) return [];
  const width = right.length + 1;
  /** How many pairs there are from two indices onwards, row by row. */
  const counts = new Uint32Array((left.length + 1) * width);
  const count = (i: number, j: number): number => counts[i * width + j] ?? 0;
  for (let i = left.length - 1; i >= 0; i--)
    for (let j = right.length - 1; j >= 0; j--)
      counts[i * width + j] = left[i] === right[j]
        ? count(i + 1, j + 1) + 1
        : Math.max(count(i + 1, j), count(i, j + 1));
  const pairs: [number, number][] = [];
  for (let [i, j] = [0, 0]; i < left.length && j < right.length; ) {
    if (left[i] === right[j]) pairs.push([i++, j++]);
    else if (count(i + 1, j) >= count(i, j + 1)) i += 1;
    else j += 1;
  }
  return pairs;
}

/**
 * What happened to changes applied to a version other than their own, as paths such as `/total`.
 */
interface Applied {
  /** Where another value was found. The change was made anyway, unless it was an undo. */
  readonly collisions: readonly string[];
  /** Where the changed element, or what it was in, is gone. The change was not made. */
  readonly misses: readonly string[];
}

/** Makes changes in place. An undo leaves alone whatever somebody else has set since. */
export function applyDifferences(
  root: JsonMap,
  differences: readonly Difference[],
  isUndo = false,
  level = 1,
): Applied {
  const applied = { collisions: [] as string[], misses: [] as string[] };
  const lists = new SearchedLists();
  for (const difference of inOrder(differences)) {
    const outcome = difference.kind === 'set'
      ? setAt(root, difference, isUndo, level)
      : changeList(root, difference, lists);
    if (outcome !== 'made') applied[outcome].push(`/${difference.path.join('/')}`);
  }
  return applied;
}

/**
 * Makes changes in place to the value that they were made from. False if they do not fit it.
 */
export function applyToSame(root: JsonMap, differences: readonly Difference[]): boolean {
  return inOrder(differences).every((difference) =>
    (difference.kind === 'set'
      ? setAt(root, difference, false, MAX_LEVELS)
      : changeList(root, difference, SAME_LISTS)) === 'made');
}

/**
 * Changes `live` in place so that its JSON, which is `from` now, becomes `to`. Parts that are equal
 * in both stay the same objects, for those who hold them.
 */
export function patch(live: JsonMap, from: JsonMap, to: JsonMap, level = 1): void {
  for (const difference of inOrder(differencesOf(from, to, level))) {
    if (difference.kind === 'set') setAt(live, difference, false, MAX_LEVELS);
    else changeList(live, difference, new LiveLists(level + difference.path.length));
  }
}

/** Elements are removed from the end backwards, so that the indices of the others stay right. */
function inOrder(differences: readonly Difference[]): readonly Difference[] {
  const isOf = (...kinds: Difference['kind'][]) =>
    ({ kind }: Difference): boolean => kinds.includes(kind);
  return [
    ...differences.filter(isOf('set', 'replace')),
    ...differences.filter(isOf('remove', 'insert')).reverse(),
    ...differences.filter(isOf('append')),
  ];
}

/** How the elements of a list are found, and changed. */
interface Lists {
  /** The index of the element that was at `index`. -1 if it is gone. */
  find(list: readonly unknown[], was: unknown, index: number): number;
  replace(list: unknown[], index: number, was: unknown, to: unknown): void;
  splice(list: unknown[], index: number, removed: number, items: readonly unknown[]): void;
}

/** Lists as they were when the changes were made. */
const SAME_LISTS: Lists = {
  find: (list, _was, index) => (index < list.length ? index : -1),
  replace: (list, index, _was, to) => {
    list[index] = to;
  },
  splice,
};

/** The same lists, but with elements that somebody may hold. */
class LiveLists implements Lists {
  readonly #level: number;
  readonly find = SAME_LISTS.find;
  readonly splice = splice;

  constructor(level: number) {
    this.#level = level;
  }

  replace(list: unknown[], index: number, was: unknown, to: unknown): void {
    const element = list[index];
    const isOpen = isMap(element) && Object.isExtensible(element);
    if (isOpen && isMap(was) && isMap(to)) patch(element, was, to, this.#level);
    else list[index] = to;
  }
}

/** Lists that others may have changed. The nearest equal element counts. */
class SearchedLists implements Lists {
  readonly #texts = new Map<readonly unknown[], string[]>();

  find(list: readonly unknown[], was: unknown, index: number): number {
    if (index < list.length && isEqual(list[index], was)) return index;
    let texts = this.#texts.get(list);
    if (texts === undefined) this.#texts.set(list, (texts = list.map(textOf)));
    const text = textOf(was);
    const [before, after] = [texts.lastIndexOf(text, index), texts.indexOf(text, index)];
    return before === -1 || (after !== -1 && after - index < index - before) ? after : before;
  }

  replace(list: unknown[], index: number, _was: unknown, to: unknown): void {
    this.splice(list, index, 1, [to]);
  }

  splice(list: unknown[], index: number, removed: number, items: readonly unknown[]): void {
    splice(list, index, removed, items);
    const texts = this.#texts.get(list);
    if (texts !== undefined) splice(texts, index, removed, items.map(textOf));
  }
}

/** The method of the same name takes only as many items as there is stack for arguments. */
function splice<T>(list: T[], index: number, removed: number, items: readonly T[]): void {
  if (items.length === 1 && removed === 1) list[index] = items[0] as T;
  else if (items.length === 0) list.splice(index, removed);
  else {
    const rest = list.splice(index).slice(removed);
    for (const item of items) list.push(item);
    for (const item of rest) list.push(item);
  }
}

function changeList(
  root: JsonMap,
  difference: Exclude<Difference, { readonly kind: 'set' }>,
  lists: Lists,
): 'made' | keyof Applied {
  const list = placeAt(root, difference.path);
  if (!Array.isArray(list)) return 'misses';
  if (difference.kind === 'append') {
    lists.splice(list, list.length, 0, difference.items);
    return 'made';
  }
  if (difference.kind === 'insert') {
    const place = lists.find(list, difference.next, difference.index);
    lists.splice(list, place === -1 ? difference.index : place, 0, difference.items);
    return 'made';
  }
  const { was } = difference;
  const index = lists.find(list, was, difference.index);
  if (index === -1) return 'misses';
  if (difference.kind === 'remove') lists.splice(list, index, 1, []);
  else lists.replace(list, index, was, difference.to);
  return 'made';
}

function setAt(
  root: JsonMap,
  { path, was, to }: Extract<Difference, { readonly kind: 'set' }>,
  isUndo: boolean,
  level: number,
): 'made' | keyof Applied {
  const parent = placeAt(root, path.slice(0, -1));
  const name = path.at(-1);
  if (!isMap(parent) || name === undefined) return 'misses';
  const found = valueOf(parent, name);
  if (isEqual(found, was) || isEqual(found, to)) {
    setValue(parent, name, to);
    return 'made';
  }
  // Two writers created the list, or its creator undoes that: the other's elements stay.
  const ours = was === undefined ? to : to === undefined && isUndo ? was : undefined;
  const isList = Array.isArray(ours) && Array.isArray(found);
  const isMerged = isList || (isUndo && isMap(ours) && isMap(found));
  const inside = level + path.length;
  if (isMerged && inside < MAX_LEVELS) {
    const none = isList ? [] : {};
    const inner = differencesOf({ [name]: was ?? none }, { [name]: to ?? none }, inside);
    applyDifferences(parent, inner, isUndo, inside);
  } else if (!isUndo) setValue(parent, name, to);
  return 'collisions';
}

function placeAt(root: JsonMap, path: Path): unknown {
  let place: unknown = root;
  for (const name of path) place = isMap(place) ? openAt(place, name) : undefined;
  return place;
}

/** A frozen value is replaced by one that can be changed. */
function openAt(map: JsonMap, name: string): unknown {
  const value = valueOf(map, name);
  if (typeof value !== 'object' || value === null || Object.isExtensible(value)) return value;
  const copy = Array.isArray(value) ? [...(value as unknown[])] : { ...value };
  setValue(map, name, copy);
  return copy;
}

function isEqual(left: unknown, right: unknown): boolean {
  return left === right || isDeepStrictEqual(left, right);
}

/** The same for equal values. */
function textOf(value: unknown): string {
  return typeof value === 'object' ? canonicalJson(value) : JSON.stringify(value);
}

function isMap(value: unknown): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function valueOf(map: JsonMap, name: string): unknown {
  return Object.hasOwn(map, name) ? map[name] : undefined;
}

/** As an own property: an assignment to `__proto__` would set the prototype. */
function setValue(map: JsonMap, name: string, value: unknown): void {
  const property = { value, writable: true, enumerable: true, configurable: true };
  if (value === undefined) Reflect.deleteProperty(map, name);
  else Object.defineProperty(map, name, property);
}

export interface Merged extends Applied {
  /** JSON text. */
  readonly text: string;
}

/**
 * The JSON text `onto`, changed as `from` was changed to `to`. Text that is not a JSON object
 * cannot be changed.
 */
export function merge(from: string, to: string, onto: string): Merged {
  const merged = { text: onto, collisions: [], misses: [] };
  if (from === to) return merged;
  if (onto === from) return { ...merged, text: to };
  const [before, after, root] = [from, to, onto].map(mapIn);
  if (before === undefined || after === undefined || root === undefined) return merged;
  const applied = applyDifferences(root, differencesOf(before, after));
  return { text: JSON.stringify(root), ...applied };
}

/** The object in JSON text. Undefined for anything else. */
export function mapIn(text: string): JsonMap | undefined {
  const value: unknown = parseJson(text);
  return isMap(value) ? value : undefined;
}
