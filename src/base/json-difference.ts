// Finds what has changed between two versions of a JSON object, and makes the same changes to a
// third. When two writers have changed one object, each change is fitted into what the other has
// made of it. docs/agents.md says what that means for an agent's state.

import { isDeepStrictEqual } from 'node:util';

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

/** Whether a value from elsewhere is a change that can be made. */
export function isDifference(value: unknown): value is Difference {
  if (!isMap(value)) return false;
  const { path, kind, index, items } = value;
  if (!Array.isArray(path) || !path.every((name) => typeof name === 'string')) return false;
  if (kind === 'set') return path.length > 0;
  if (kind === 'append') return Array.isArray(items);
  if (!Number.isSafeInteger(index)) return false;
  return kind === 'replace' || kind === 'remove' || (kind === 'insert' && Array.isArray(items));
}

/** If the lengths of two arrays multiply to more than this, elements are paired by position. */
const MAX_COMPARED = 40_000;

/** The changes that turn one JSON object into the other. Neither object is modified. */
export function differencesOf(from: JsonMap, to: JsonMap, path: Path = []): Difference[] {
  const names = [...new Set([...Object.keys(from), ...Object.keys(to)])];
  return names.flatMap((name): Difference[] => {
    const [was, is] = [valueOf(from, name), valueOf(to, name)];
    const inner = [...path, name];
    if (isDeepStrictEqual(was, is)) return [];
    if (isMap(was) && isMap(is)) return differencesOf(was, is, inner);
    if (Array.isArray(was) && Array.isArray(is)) return differencesOfArrays(was, is, inner);
    return [{ path: inner, kind: 'set', was, to: is }];
  });
}

/**
 * Elements in both arrays stay. Between them, others count as replaced one by one, or as removed.
 * The rest count as inserted before the next one that stays, or as appended.
 */
function differencesOfArrays(
  from: readonly unknown[],
  to: readonly unknown[],
  path: Path,
): Difference[] {
  const changes: Difference[] = [];
  let [was, is] = [0, 0];
  const ends: [number, number] = [from.length, to.length];
  for (const [nextWas, nextIs] of [...commonElements(from, to), ends]) {
    const pairs = Math.min(nextWas - was, nextIs - is);
    const isMore = nextIs - is > pairs;
    for (let index = was; index < was + pairs; index++) {
      const [before, after] = [from[index], to[index - was + is]];
      if (isDeepStrictEqual(before, after)) continue; // there were too many to find this out before
      changes.push({ path, kind: 'replace', index, was: before, to: after });
    }
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

/** The indices of elements that two arrays have in common, in order, as many as possible. */
function commonElements(from: readonly unknown[], to: readonly unknown[]): [number, number][] {
  const [ours, theirs] = [from, to].map((list) => list.map((item) => JSON.stringify(item)));
  if (ours === undefined || theirs === undefined) return [];
  const shorter = Math.min(ours.length, theirs.length);
  let start = 0;
  while (start < shorter && ours[start] === theirs[start]) start += 1;
  let end = 0;
  while (end < shorter - start && ours.at(-1 - end) === theirs.at(-1 - end)) end += 1;
  const [left, right] = [ours.length - end, theirs.length - end];
  const pairs = Array.from({ length: start }, (_, index): [number, number] => [index, index]);
  if ((left - start) * (right - start) <= MAX_COMPARED)
    pairs.push(...longestCommon(ours.slice(start, left), theirs.slice(start, right))
      .map(([i, j]): [number, number] => [start + i, start + j]));
  for (let i = 0; i < end; i++) pairs.push([left + i, right + i]);
  return pairs;
}

/** A longest common subsequence. https://en.wikipedia.org/wiki/Longest_common_subsequence */
function longestCommon(left: readonly string[], right: readonly string[]): [number, number][] {
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
): Applied {
  const applied = { collisions: [] as string[], misses: [] as string[] };
  for (const difference of inOrder(differences)) {
    const outcome = applyOne(root, difference, nearestEqual, isUndo);
    if (outcome !== 'made') applied[outcome].push(`/${difference.path.join('/')}`);
  }
  return applied;
}

/**
 * Changes `live` in place so that its JSON, which is `from` now, becomes `to`. Parts that are equal
 * in both stay the same objects, for those who hold them.
 */
export function patch(live: JsonMap, from: JsonMap, to: JsonMap): void {
  for (const difference of inOrder(differencesOf(from, to)))
    applyOne(live, difference, (_array, _was, index) => index);
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

function applyOne(
  root: JsonMap,
  difference: Difference,
  indexOf: (array: readonly unknown[], was: unknown, index: number) => number,
  isUndo = false,
): 'made' | keyof Applied {
  if (difference.kind === 'set') return setAt(root, difference, isUndo);
  const array = placeAt(root, difference.path);
  if (!Array.isArray(array)) return 'misses';
  if (difference.kind === 'append') {
    array.push(...difference.items);
    return 'made';
  }
  if (difference.kind === 'insert') {
    const place = indexOf(array, difference.next, difference.index);
    array.splice(place === -1 ? difference.index : place, 0, ...difference.items);
    return 'made';
  }
  const { was } = difference;
  const index = indexOf(array, was, difference.index);
  if (index === -1) return 'misses';
  const element: unknown = array[index];
  if (difference.kind === 'remove') array.splice(index, 1);
  else if (isMap(element) && Object.isExtensible(element) && isMap(was) && isMap(difference.to))
    patch(element, was, difference.to);
  else array[index] = difference.to;
  return 'made';
}

function setAt(
  root: JsonMap,
  { path, was, to }: Extract<Difference, { readonly kind: 'set' }>,
  isUndo: boolean,
): 'made' | keyof Applied {
  const parent = placeAt(root, path.slice(0, -1));
  const name = path.at(-1);
  if (!isMap(parent) || name === undefined) return 'misses';
  const found = valueOf(parent, name);
  if (isDeepStrictEqual(found, was) || isDeepStrictEqual(found, to)) {
    setValue(parent, name, to);
    return 'made';
  }
  // Two writers created the list, or its creator undoes that: the other's elements stay.
  const ours = was === undefined ? to : to === undefined && isUndo ? was : undefined;
  const isList = Array.isArray(ours) && Array.isArray(found);
  if (isList || (isUndo && isMap(ours) && isMap(found))) {
    const none = isList ? [] : {};
    const inner = differencesOf({ [name]: was ?? none }, { [name]: to ?? none });
    applyDifferences(parent, inner, isUndo);
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

/** -1 if no element equals the value. */
function nearestEqual(array: readonly unknown[], value: unknown, index: number): number {
  const isThere = (place: number): boolean =>
    place in array && isDeepStrictEqual(array[place], value);
  for (let away = 0; away <= Math.max(index, array.length - 1 - index); away++) {
    if (isThere(index - away)) return index - away;
    if (isThere(index + away)) return index + away;
  }
  return -1;
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
