import { DeferredStream } from './deferred-stream.ts';
import type { ChatModel } from './model.ts';

/**
 * A model whose code is loaded when it is first warmed or asked. Until then it reports no problems.
 * `load` is called once.
 */
export function loadedOnDemand(name: string, load: () => Promise<ChatModel>): ChatModel {
  let loading: Promise<ChatModel> | undefined;
  let loaded: ChatModel | undefined;
  const model = async (): Promise<ChatModel> => (loaded = await (loading ??= load()));
  return {
    name,
    stream: (messages, options) => {
      if (loaded !== undefined) return loaded.stream(messages, options);
      return new DeferredStream(options.signal, async (ask) => {
        const answering = await model();
        return ask(() => answering.stream(messages, options));
      });
    },
    async warm(signal) {
      try {
        await (await model()).warm(signal);
      } catch {
        // The same error is thrown when the model is asked.
      }
    },
    problems: () => loaded?.problems() ?? [],
    isUsable: () => loaded?.isUsable() ?? true,
  };
}
