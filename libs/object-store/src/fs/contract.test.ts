import { describe, onTestFinished } from 'vitest'
import { runObjectStoreContract } from '../testing/contract.ts'
import { fsStoreOptions, temporaryDirectory } from '../testing/temporary-store.ts'
import { type FsStoreOptions, openFsStore } from './open-fs-store.ts'

describe.each<FsStoreOptions['durability']>(['none', 'full'])(
  'openFsStore() with durability %s',
  (durability) => {
    runObjectStoreContract(async () => {
      let nowMs = 1_700_000_000_123
      const options = fsStoreOptions(temporaryDirectory(), { durability, now: () => nowMs })
      const another = async () => {
        const store = await openFsStore(options)
        onTestFinished(() => store.close())
        return store
      }
      return {
        store: await another(),
        another,
        advance: (ms) => {
          nowMs += ms
        },
      }
    })
  },
)
