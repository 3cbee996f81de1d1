/** As V8 takes it on the command line. */
const FLAG = /^--?(?:no[-_]?)?allocation[-_]site[-_]pretenuring$/;

/**
 * Keeps V8 from allocating the objects of a turn among those that live long, unless Node was
 * started with that flag or its opposite: docs/decisions/013-allocate-young.md
 *
 * It loads `node:v8` itself, so that a server listens before that.
 */
export async function allocateYoung(): Promise<void> {
  if (process.execArgv.some((argument) => FLAG.test(argument))) return;
  const { setFlagsFromString } = await import('node:v8');
  setFlagsFromString('--no-allocation-site-pretenuring');
}
