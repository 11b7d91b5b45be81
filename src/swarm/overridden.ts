// An object with some of its members replaced; the others are its own.

/** The same object, but for the members of `over`. Methods stay bound to the object. */
export function overridden<T extends object>(object: T, over: Partial<T>): T {
  return new Proxy(object, {
    get(target, key) {
      if (Object.hasOwn(over, key)) return Reflect.get(over, key);
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
