/**
 * Makes `instanceof` recognise what any copy of the package has made with its class of that name:
 * an agent may come with a copy of its own. Subclasses are still told apart.
 */
export function knowInAnyCopy(type: new (...args: never[]) => object, name: string): void {
  const brand = Symbol.for(`layercode-microserver.${name}`);
  Object.defineProperty(type.prototype, brand, { value: true });
  Object.defineProperty(type, Symbol.hasInstance, {
    value(this: unknown, thing: unknown): boolean {
      if (this !== type) return Function.prototype[Symbol.hasInstance].call(this as never, thing);
      return typeof thing === 'object' && thing !== null && brand in thing;
    },
  });
}
