/** Cases whose result is another one with umoci 0.4, and why ours stays. */
export const differencesFromUmoci: ReadonlyMap<string, string> = new Map([])

/** Cases that Python's, Go's or GNU's reader lists otherwise, and why ours stays. */
export const differencesFromReaders: ReadonlyMap<string, string> = new Map([])
