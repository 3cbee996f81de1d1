/**
 * Makes `return()` of the generator take effect at once. A generator handles it only after its
 * pending `await`, which can take as long as a model thinks. `end` ends that `await`.
 */
export function endingAtOnce<T>(
  generator: AsyncGenerator<T, void, undefined>,
  end: () => void,
): AsyncGenerator<T, void, undefined> {
  const finish = generator.return.bind(generator);
  generator.return = (value) => {
    end();
    return finish(value);
  };
  return generator;
}
