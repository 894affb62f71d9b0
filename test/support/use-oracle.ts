import { afterAll, beforeEach } from 'vitest'
import { type UserName, userOf } from './builder-user.ts'
import { type Oracle, openOracle } from './leak-oracle.ts'

/**
 * Gives the tests of the running `describe` an oracle of their own, made before the first of them; skips them where
 * they cannot run as this user.
 */
export function useOracle(userName: UserName, name: string, patience?: number): () => Oracle {
  const user = userOf(userName)
  let oracle: Oracle | undefined
  beforeEach(async (test) => {
    user.needed(test)
    oracle ??= await openOracle(user, name, patience)
  }, 300_000)
  afterAll(() => oracle?.close())
  return () => {
    if (oracle === undefined) throw new Error('The oracle is there in tests only')
    return oracle
  }
}
