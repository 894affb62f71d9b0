/** What `make` makes for a key, made once. A failed attempt is not kept. */
export function memoised<T>(map: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  made.catch(() => map.delete(key))
  return made
}
