/** The number of single-character edits between two words; swapping two neighbours is one edit (`FORM`, `FROM`). */
export function editDistance(a: string, b: string): number {
  let beforePrevious: readonly number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const swap = swapped ? (beforePrevious[j - 2] ?? 0) + 1 : substitution
      current.push(Math.min((previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, substitution, swap))
    }
    beforePrevious = previous
    previous = current
  }
  return previous[b.length] ?? 0
}

/** The texts that are compared are untrusted, and each comparison costs the product of two lengths. */
const maxCandidates = 500

/**
 * The candidate that a mistyped word most likely meant, compared without case; undefined where none is close. Only the first
 * 500 of like length are looked at.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = word.toLowerCase()
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1
  let compared = 0
  for (const candidate of candidates) {
    // Each surplus character is an edit at least.
    if (Math.abs(candidate.length - wanted.length) >= bestDistance) continue
    if (++compared > maxCandidates) break
    const distance = editDistance(wanted, candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** A hint of the form "Did you mean `x`?", or none. */
export function didYouMean(word: string, candidates: Iterable<string>): readonly string[] {
  const found = nearest(word, candidates)
  return found === undefined ? [] : [`Did you mean \`${found}\`?`]
}
