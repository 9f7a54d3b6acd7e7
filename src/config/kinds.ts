/** The kinds of values, with a builder of rows for each. */
export * from "./kinds/lists.ts"
export * from "./kinds/objects.ts"
export * from "./kinds/scalars.ts"
export * from "./kinds/secrets.ts"
export * from "./kinds/selectors.ts"
export * from "./kinds/urls.ts"
