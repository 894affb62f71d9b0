import { runObjectStoreContract } from './contract.ts'
import { memoryStore } from './memory-store.ts'

runObjectStoreContract(async () => {
  let now = 1_700_000_000_000
  const store = memoryStore({ now: () => now })
  return {
    store,
    another: async () => store,
    advance: (ms) => {
      now += ms
    },
  }
})
