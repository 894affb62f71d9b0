/** Does something for each of a list, so many at a time, and gives the results in order. The first failure is thrown; the others go on. */
export async function eachLimited<T, R>(
  list: readonly T[],
  atATime: number,
  body: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = []
  results.length = list.length
  const entries = list.entries()
  const worker = async () => {
    for (const [place, item] of entries) results[place] = await body(item)
  }
  await Promise.all(Array.from({ length: Math.min(atATime, list.length) }, worker))
  return results
}
