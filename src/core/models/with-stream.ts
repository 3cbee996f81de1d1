import type { ChatModel } from './model.ts';

/** The model with this function in place of its `stream`. */
export function withStream(model: ChatModel, stream: ChatModel['stream']): ChatModel {
  return {
    name: model.name,
    stream,
    warm: (signal) => model.warm(signal),
    problems: () => model.problems(),
    isUsable: () => model.isUsable(),
  };
}
