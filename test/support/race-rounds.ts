/**
 * How often a race is run: a tenth of what the specification says, and all of it with `TSBUILD_SOAK=1`, which
 * `npm run test:soak` sets.
 *
 * @param whole the rounds of the specification
 */
export function raceRounds(whole: number): number {
  return process.env.TSBUILD_SOAK === '1' ? whole : whole / 10
}
