import { falseRecords } from './false-records.ts'
import { forgedScopes } from './forged-scopes.ts'
import { layersOfOthers } from './layers-of-others.ts'
import type { Attempt } from './world.ts'

/** Everything that a holder of a token may send. */
export const requestAttempts: readonly Attempt[] = [...forgedScopes, ...falseRecords, ...layersOfOthers]
