import type { Digest } from '@tsbuild/digest'
import { type CacheRecord, type CacheStore, definitionKey, type RecordedInput } from '../index.ts'

/** Records of this machine and of others, as a store with a remote cache gives them. */
export function withElsewhere(
  here: Pick<CacheStore, 'load' | 'link'>,
  elsewhere: (key: Digest) => CacheRecord | undefined,
  asked: string[] = [],
): CacheStore {
  const found = new Map<Digest, CacheRecord>()
  const note = (
    key: Digest,
    made: Pick<CacheRecord, 'op' | 'inputs' | 'inputNames'>,
  ): CacheRecord | undefined => {
    const record = elsewhere(key)
    if (record !== undefined) found.set(key, { ...record, ...made, from: 'elsewhere' })
    return found.get(key)
  }
  const load: CacheStore['load'] = (key, isUsable = () => true) => {
    const [local, remote] = [here.load(key), found.get(key)]
    return local !== undefined && (isUsable(local) || remote === undefined) ? local : remote
  }
  return {
    ...here,
    load,
    async prepare(steps) {
      asked.push(`prepare ${steps.map(({ vertex }) => vertex.name).join(' ')}`)
      const counted = new Map<Digest, Digest>()
      for (const { vertex, kind, op, inputs, inputNames } of steps) {
        const counts = inputs.flatMap((input): RecordedInput[] => {
          if (input.kind !== 'step') return [input]
          const key = counted.get(input.vertex)
          return key === undefined ? [] : [{ kind: 'result', key, selector: input.selector }]
        })
        if (counts.length < inputs.length) continue
        const key = definitionKey(op, counts)
        const record =
          kind === 'view' ? undefined : (load(key) ?? note(key, { op, inputs: counts, inputNames }))
        const outputKey = kind === 'view' ? key : record?.outputKey
        if (outputKey !== undefined) counted.set(vertex.digest, outputKey)
      }
    },
    async ask({ key, vertex, op, inputs, inputNames }) {
      if (found.has(key)) return false
      asked.push(`ask ${vertex.name}`)
      return note(key, { op, inputs, inputNames }) !== undefined
    },
  }
}
