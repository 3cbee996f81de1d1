// What a server asks of V8's garbage collector. Whoever starts Node with flags for it is obeyed.
// Each function loads what it needs by itself, so that a server listens before that.

// NODE_OPTIONS may have flags in quotes.
const PRETENURING_FLAG = /^"?--?(?:no[-_]?)?allocation[-_]site[-_]pretenuring\b/;
const SIZE_FLAG =
  /^"?--?(?:(?:min|max)[-_]semi[-_]space[-_]size|semi[-_]space[-_]growth[-_]factor)\b/;

/**
 * Keeps V8 from allocating the objects of a turn among those that live long:
 * docs/decisions/013-allocate-young.md
 */
export async function allocateYoung(): Promise<void> {
  if (isStartedWith(PRETENURING_FLAG)) return;
  const { setFlagsFromString } = await import('node:v8');
  setFlagsFromString('--no-allocation-site-pretenuring');
}

/** Bytes. V8 doubles a half: one of 2 MiB is smaller, one of 4 MiB less V8's headers is larger. */
const LARGE_ENOUGH = 3_145_728;
const SHRINK_CHECK_MS = 1_000;
const V8_DEFAULT_FACTOR = 2;

/**
 * Lets the young generation grow as far as it makes turns faster, and no further. Once V8 has made
 * it smaller, because the process was idle, it may grow again:
 * docs/decisions/014-bound-young-generation.md
 */
export async function boundYoungGeneration(): Promise<void> {
  if (isStartedWith(SIZE_FLAG)) return;
  const { getHeapSpaceStatistics, setFlagsFromString } = await import('node:v8');
  const { PerformanceObserver } = await import('node:perf_hooks');
  let mayGrow = false;

  function update(): void {
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
    if (young === undefined) return;
    const isSmall = young.space_used_size + young.space_available_size < LARGE_ENOUGH;
    if (isSmall === mayGrow) return;
    mayGrow = isSmall;
    setFlagsFromString(`--semi-space-growth-factor=${mayGrow ? V8_DEFAULT_FACTOR : 1}`);
    // Each collection may make it grow. It shrinks seldom, so a look now and then will do.
    if (mayGrow) collections.observe({ entryTypes: ['gc'] });
    else collections.disconnect();
  }

  const collections = new PerformanceObserver(update);
  update();
  setInterval(update, SHRINK_CHECK_MS).unref();
}

function isStartedWith(flag: RegExp): boolean {
  const inEnvironment = process.env['NODE_OPTIONS']?.split(/\s+/) ?? [];
  return [...process.execArgv, ...inEnvironment].some((argument) => flag.test(argument));
}
