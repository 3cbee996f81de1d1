// The TypeScript type of values that fit a JSON Schema literal.

import type { Json, JsonObject } from '../json.ts';

/** The type of arguments that fit the schema. JSON if the schema is not known at compile time. */
export type ValueOf<S> = string extends keyof S ? JsonObject : Infer<S, S, never>;

/** `Seen`: the references followed so far. A recursive one becomes `Json`. */
type Infer<S, Root, Seen> =
  S extends true ? Json
  : S extends false ? never
  : S extends { readonly const: infer C } ? C
  : S extends { readonly enum: readonly (infer E)[] } ? E
  : S extends { readonly type: infer T } ? OfType<OneOf<T>, S, Root, Seen> | Null<S>
  : S extends { readonly properties: object } ? ObjectOf<S, Root, Seen>
  : S extends { readonly $ref: infer R } ? Refer<R, Root, Seen>
  : S extends { readonly anyOf: readonly (infer B)[] } ? Infer<B, Root, Seen>
  : S extends { readonly oneOf: readonly (infer B)[] } ? Infer<B, Root, Seen>
  : S extends { readonly allOf: readonly (infer B)[] } ? AllOf<B, Root, Seen>
  : Json;

type OneOf<T> = T extends readonly (infer U)[] ? U : T;
type Null<S> = S extends { readonly nullable: true } ? null : never;

type OfType<T, S, Root, Seen> =
  T extends 'string' ? string
  : T extends 'number' | 'integer' ? number
  : T extends 'boolean' ? boolean
  : T extends 'null' ? null
  : T extends 'array' ? ArrayOf<S, Root, Seen>
  : T extends 'object' ? ObjectOf<S, Root, Seen>
  : Json;

type ArrayOf<S, Root, Seen> =
  S extends { readonly prefixItems: readonly unknown[] } ? Json[]
  : S extends { readonly items: readonly unknown[] } ? Json[]
  : S extends { readonly items: infer I } ? Infer<I, Root, Seen>[]
  : Json[];

type ObjectOf<S, Root, Seen> =
  S extends { readonly properties: infer P }
    ? Flat<Required<S, P, Root, Seen> & Optional<S, P, Root, Seen> & Others<S>>
    : S extends { readonly additionalProperties: infer A }
      ? { [name: string]: Infer<A, Root, Seen> }
      : JsonObject;

type RequiredName<S> = S extends { readonly required: readonly (infer N)[] } ? N : never;
type Required<S, P, Root, Seen> = {
  [N in Extract<keyof P, RequiredName<S>>]: Infer<P[N], Root, Seen>;
};
type Optional<S, P, Root, Seen> = {
  [N in Exclude<keyof P, RequiredName<S>>]?: Infer<P[N], Root, Seen>;
};
/** Only if the schema asks for them. Otherwise a misspelt name is a type error. */
type Others<S> =
  S extends { readonly additionalProperties: infer A }
    ? A extends false ? unknown : { [name: string]: unknown }
    : unknown;

type Flat<T> = { [K in keyof T]: T[K] };

type AllOf<B, Root, Seen> = Takes<B, Root, Seen> extends (all: infer All) => void ? All : never;
type Takes<B, Root, Seen> = B extends unknown ? (part: Infer<B, Root, Seen>) => void : never;

type Refer<R, Root, Seen> =
  R extends Seen ? Json
  : R extends `#/$defs/${infer Name}` ? Defined<Root, '$defs', Name, R | Seen>
  : R extends `#/definitions/${infer Name}` ? Defined<Root, 'definitions', Name, R | Seen>
  : Json;

type Defined<Root, Where extends string, Name extends string, Seen> =
  Root extends { readonly [W in Where]: { readonly [N in Name]: infer S } }
    ? Infer<S, Root, Seen>
    : Json;
