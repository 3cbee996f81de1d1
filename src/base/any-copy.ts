/**
 * Makes `instanceof` recognise instances of the class of that name from any copy of the package: an
 * agent may bring its own copy. Subclasses are still told apart.
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
