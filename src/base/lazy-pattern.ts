/**
 * A regular expression with `\p{…}`, made when it is first used. V8 checks every literal when it
 * loads a file, even in functions that never run, and asks ICU for all the characters. See decision
 * 5.
 */
export function lazyPattern(source: string, flags: string): () => RegExp {
  let pattern: RegExp | undefined;
  return () => (pattern ??= new RegExp(source, flags));
}
