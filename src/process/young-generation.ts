// What a server asks of V8's garbage collector. Whoever starts Node with flags for it is obeyed.
// Each function loads what it needs by itself, so that a server listens before that.

const PRETENURING_FLAG = /^--?(?:no[-_]?)?allocation[-_]site[-_]pretenuring$/;
const SIZE_FLAG = /^--?(?:(?:min|max)[-_]semi[-_]space[-_]size|semi[-_]space[-_]growth[-_]factor)\b/;

/**
 * Keeps V8 from allocating the objects of a turn among those that live long:
 * docs/decisions/013-allocate-young.md
 */
export async function allocateYoung(): Promise<void> {
  if (isStartedWith(PRETENURING_FLAG)) return;
  const { setFlagsFromString } = await import('node:v8');
  setFlagsFromString('--no-allocation-site-pretenuring');
}

/** Bytes of a half of the young generation that lets it grow to 4 MiB, less V8's own headers. */
const LARGE_ENOUGH = 3_145_728;

/**
 * Lets the young generation grow as far as it makes turns faster, and no further:
 * docs/decisions/014-bound-young-generation.md
 */
export async function boundYoungGeneration(): Promise<void> {
  if (isStartedWith(SIZE_FLAG)) return;
  const { getHeapSpaceStatistics, setFlagsFromString } = await import('node:v8');
  const { PerformanceObserver } = await import('node:perf_hooks');
  const collections = new PerformanceObserver(() => {
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
    if (young === undefined) return;
    if (young.space_used_size + young.space_available_size < LARGE_ENOUGH) return;
    setFlagsFromString('--semi-space-growth-factor=1');
    collections.disconnect();
  });
  collections.observe({ entryTypes: ['gc'] });
}

function isStartedWith(flag: RegExp): boolean {
  const inEnvironment = process.env['NODE_OPTIONS']?.split(/\s+/) ?? [];
  return [...process.execArgv, ...inEnvironment].some((argument) => flag.test(argument));
}
