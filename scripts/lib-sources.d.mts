/** Each specifier of a lib (`@tsbuild/store/testing`) with the absolute path of the TypeScript file that it is built from. */
export function libSources(): readonly (readonly [specifier: string, source: string])[]
