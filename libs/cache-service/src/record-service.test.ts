import { decodePayload, maxReplyBytes, parseRecord, type StepRecord } from '@tsbuild/cache-protocol'
import { type Digest, digestBytes } from '@tsbuild/digest'
import { memoryStore } from '@tsbuild/object-store/testing'
import { definitionKey } from '@tsbuild/solver'
import { addSignature, type Scope, signingKeyOf, verifyEnvelope } from '@tsbuild/trust'
import { describe, expect, it } from 'vitest'
import { openRecordService, type RecordService, readUses, recordObject } from './index.ts'
import { blobWorld, openService, recordOf, type Step, scopes, serverKey, stepOf } from './testing/index.ts'

const { main, pr, other } = scopes
const keyOf = (name: string): Digest => digestBytes(`key of ${name}`)

const put = async (service: RecordService, record: StepRecord, write: Scope = main) => {
  const mayWrite = (scope: Scope) => scope === write
  const [outcome] = await service.put([{ record, subject: 'token:test', mayWrite }])
  if (outcome === undefined) throw new Error('nothing became of it')
  return outcome
}
const putStep = (service: RecordService, step: Step) => put(service, recordOf(step), step.scope)

/** What was made by the steps that are found; undefined for one that is not. */
const found = async (service: RecordService, names: readonly string[], chain: readonly Scope[] = [main]) =>
  (await service.lookUp(chain, names.map(keyOf))).map((bytes) => {
    const record = bytes && parseRecord(bytes.toString())
    return record && decodePayload(record.envelope)?.result.outputKey
  })
const output = (made: string) => digestBytes(`output ${made}`)

describe('plans', () => {
  it('let others be served between their slices, and end with who asked for them', async () => {
    const service = await openService()
    const steps = Array.from({ length: 2000 }, (_, at) => ({ kind: 'view' as const, op: at, inputs: [] }))
    let others = 0
    let isDone = false
    const serve = () => {
      others++
      if (!isDone) setImmediate(serve)
    }
    setImmediate(serve)
    await service.plan([main], steps)
    isDone = true
    expect(others).toBeGreaterThanOrEqual(10)
    await expect(service.plan([main], steps, AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
  })
})

describe('storing', () => {
  it('gives stored, and then what was stored, signed by the server, with the subject that wrote it', async () => {
    const service = await openService()
    expect(await putStep(service, { name: 'a' })).toEqual({ outcome: 'stored' })
    const [bytes] = await service.lookUp([main], [keyOf('a')])
    const record = parseRecord(String(bytes))
    if (record === undefined) throw new Error('no record')
    expect(verifyEnvelope(record.envelope, [serverKey], record.envelope.payloadType)).toBeDefined()
    expect(decodePayload(record.envelope)).toEqual(stepOf({ name: 'a', subject: 'token:test' }))
  })

  it('keeps members of the payload that it does not know', async () => {
    const service = await openService()
    const payload = { ...stepOf({ name: 'a' }), later: { x: 1 } }
    const { envelope } = recordOf(payload)
    const written = Buffer.from(JSON.stringify(payload)).toString('base64')
    await put(service, { envelope: { ...envelope, payload: written } })
    const [bytes] = await service.lookUp([main], [keyOf('a')])
    const stored = JSON.parse(String(bytes)).envelope.payload
    expect(JSON.parse(Buffer.from(stored, 'base64').toString())).toMatchObject({ later: { x: 1 } })
  })

  it('the same result again is the same, another one is different and leaves what is there (L-03)', async () => {
    const service = await openService()
    await putStep(service, { name: 'a' })
    expect(await putStep(service, { name: 'a', createdAt: 5 })).toEqual({ outcome: 'same' })
    const outcome = await putStep(service, { name: 'a', made: 'something else' })
    if (outcome.outcome !== 'different') throw new Error(outcome.outcome)
    expect(decodePayload(outcome.record.envelope)?.result.outputKey).toBe(output('a'))
    expect(await found(service, ['a'])).toEqual([output('a')])
  })

  it('lists the blobs that the scope lacks, also those that another scope has (L-04)', async () => {
    const blobs = blobWorld()
    const service = await openService({ hasBlob: blobs.has })
    blobs.add(other, 'a')
    const missing = { outcome: 'missing', digests: [digestBytes('blob a')] }
    expect(await putStep(service, { name: 'a' })).toEqual(missing)
    blobs.add(main, 'a')
    expect(await putStep(service, { name: 'a' })).toEqual({ outcome: 'stored' })
    expect(await putStep(service, { name: 'a', scope: pr })).toEqual(missing)
  })

  it('takes no more records than a scope and a server may have, and still what is there', async () => {
    const service = await openService({ recordLimits: { all: 5, perScope: 3 } })
    const many = (scope: Scope, ...names: readonly string[]) =>
      service.put(
        names.map((name) => ({
          record: recordOf({ name, scope }),
          subject: 'token:test',
          mayWrite: () => true,
        })),
      )
    // All at one moment: those on their way count.
    const outcomes = (await many(main, 'a', 'b', 'c', 'd', 'e')).map(({ outcome }) => outcome)
    expect(outcomes).toEqual(['stored', 'stored', 'stored', 'full', 'full'])
    const [again, more] = await many(main, 'a', 'f')
    expect(again).toEqual({ outcome: 'same' })
    expect(more).toEqual({ outcome: 'full', reason: `${main} has 3 records, which is as many as it may` })
    const others = await many(pr, 'a', 'b', 'c')
    expect(others.map(({ outcome }) => outcome)).toEqual(['stored', 'stored', 'full'])
    expect(service.tally.puts).toMatchObject({ stored: 5, same: 1, full: 4 })
    expect(await found(service, ['a', 'd'], [main])).toEqual([output('a'), undefined])
  })

  it('takes a record again where another process has made room, and none for one that was not taken', async () => {
    const store = memoryStore({ now: () => 0 })
    const blobs = blobWorld()
    const clock = { now: 10_000 }
    const options = { store, now: () => clock.now, hasBlob: blobs.has, recordLimits: { all: 9, perScope: 1 } }
    const service = await openService(options)
    // What was refused for its blobs keeps no place.
    expect(await putStep(service, { name: 'b' })).toMatchObject({ outcome: 'missing' })
    blobs.add(main, 'a', 'b')
    expect(await putStep(service, { name: 'a' })).toEqual({ outcome: 'stored' })
    const another = await openService(options)
    await another.remove([{ scope: main, key: keyOf('a') }])
    clock.now += 2000
    expect(await putStep(service, { name: 'b' })).toEqual({ outcome: 'stored' })
  })

  it('refuses a scope that is not written, and a record that says something else than the path', async () => {
    const service = await openService()
    expect(await put(service, recordOf({ name: 'a' }), pr)).toMatchObject({ outcome: 'forbidden' })
    const request = { record: recordOf({ name: 'a' }), subject: 'x', mayWrite: () => true }
    const outcomes = await service.put([
      { ...request, name: { scope: pr, key: keyOf('a') } },
      { ...request, name: { scope: main, key: keyOf('b') } },
    ])
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['invalid', 'invalid'])
    expect(await found(service, ['a'], [main, pr])).toEqual([undefined])
  })

  it('checks signatures of keys that it knows, keeps those of others, and wants them to name the writer', async () => {
    const client = signingKeyOf(Buffer.alloc(32, 2))
    const service = await openService({ clientKeys: [client] })
    const signed = (name: string, subject: string) =>
      addSignature(client, recordOf({ name, subject }).envelope)
    const spoilt = signed('a', 'token:test')
    const other = signed('b', 'token:test')
    const swapped = { ...spoilt, signatures: other.signatures }
    expect(await put(service, { envelope: swapped })).toMatchObject({ outcome: 'invalid' })
    expect(await put(service, { envelope: signed('a', 'somebody else') })).toMatchObject({
      outcome: 'invalid',
    })
    expect(await put(service, { envelope: spoilt })).toEqual({ outcome: 'stored' })
    const [bytes] = await service.lookUp([main], [keyOf('a')])
    const envelope = parseRecord(String(bytes))?.envelope
    expect(envelope?.signatures.map(({ keyid }) => keyid)).toEqual([client.id, serverKey.id])
    const stranger = signingKeyOf(Buffer.alloc(32, 3))
    const kept = { ...other, signatures: [{ ...other.signatures[0], keyid: stranger.id }] as never }
    expect(await put(service, { envelope: kept })).toEqual({ outcome: 'stored' })
  })

  it('refuses a record that has no room for the signature of the server: nobody would read it', async () => {
    const service = await openService()
    const signed = (count: number) => {
      const bare = recordOf({ name: 'a', subject: 'token:test' }).envelope
      const keys = Array.from({ length: count }, (_, place) => signingKeyOf(Buffer.alloc(32, 10 + place)))
      return { envelope: keys.reduce((envelope, key) => addSignature(key, envelope), bare) }
    }
    expect(await put(service, signed(8))).toMatchObject({ outcome: 'invalid' })
    expect(await put(service, signed(7))).toEqual({ outcome: 'stored' })
    expect(await found(service, ['a'])).toEqual([output('a')])
  })
})

describe('looking up', () => {
  it('asks the scopes of the chain in their order (L-02)', async () => {
    const service = await openService()
    await putStep(service, { name: 'a', made: 'of main' })
    expect(await found(service, ['a'], [pr, main])).toEqual([output('of main')])
    await putStep(service, { name: 'a', made: 'of pr', scope: pr })
    expect(await found(service, ['a'], [pr, main])).toEqual([output('of pr')])
    expect(await found(service, ['a'], [main])).toEqual([output('of main')])
    expect(await found(service, ['a'], [])).toEqual([undefined])
  })

  it('answers 10,000 keys at once, each at its place (L-01)', async () => {
    const service = await openService()
    const names = Array.from({ length: 10_000 }, (_, place) => `n${place}`)
    const stored = names.filter((_, place) => place % 7 === 0)
    await service.put(
      stored.map((name) => ({ record: recordOf({ name }), subject: 'x', mayWrite: () => true })),
    )
    const expected = names.map((name, place) => (place % 7 === 0 ? output(name) : undefined))
    expect(await found(service, names)).toEqual(expected)
    expect(await service.has([main], names.map(keyOf))).toEqual(expected.map((each) => each !== undefined))
  })

  it('gives no more than an answer may have, however often the same is asked for', async () => {
    const service = await openService()
    const inputs = Array.from({ length: 600 }, (_, place) => ({ name: `${place}`.padEnd(60), id: 'x' }))
    await put(service, recordOf({ ...stepOf({ name: 'a' }), inputs }))
    const keys = Array.from({ length: 10_000 }, () => keyOf('a'))
    const records = await service.lookUp([main], keys)
    const bytes = records.reduce((sum, record) => sum + (record?.length ?? 4) + 1, 0)
    expect(bytes).toBeLessThan(maxReplyBytes)
    expect(bytes).toBeGreaterThan(maxReplyBytes * 0.95)
    expect(await service.has([main], keys)).toEqual(keys.map(() => true))
  })

  it('a record whose blob is gone is a miss, and whoever stores the key next heals it (L-05)', async () => {
    const blobs = blobWorld()
    let now = 1_750_000_000_000
    const service = await openService({ hasBlob: blobs.has, now: () => now })
    blobs.add(main, 'a', 'b')
    await putStep(service, { name: 'a' })
    await putStep(service, { name: 'b' })
    expect(await found(service, ['a', 'b'])).toEqual([output('a'), output('b')])
    blobs.remove(main, 'a')
    now += 31_000
    expect(await found(service, ['a', 'b'])).toEqual([undefined, output('b')])
    expect(await service.has([main], [keyOf('a'), keyOf('b')])).toEqual([false, true])
    blobs.add(main, 'a anew')
    expect(await putStep(service, { name: 'a', made: 'a anew' })).toEqual({ outcome: 'stored' })
    expect(await found(service, ['a'])).toEqual([output('a anew')])
  })

  it('does not ask for blobs again that were there a moment ago', async () => {
    const blobs = blobWorld(true)
    const service = await openService({ hasBlob: blobs.has })
    await putStep(service, { name: 'a' })
    await found(service, ['a'])
    const asked = blobs.asked()
    for (let time = 0; time < 10; time++) await found(service, ['a'])
    expect(blobs.asked()).toBe(asked)
  })

  it('a record that was damaged, or written into the storage by somebody else, is a miss and is replaced', async () => {
    const store = memoryStore()
    const service = await openService({ store })
    for (const name of ['a', 'b', 'c']) await putStep(service, { name })
    const objects = ['a', 'b', 'c'].map((name) => recordObject({ scope: main, key: keyOf(name) }))
    const replace = async (object: string, bytes: Buffer) => {
      const info = await store.head(object)
      await store.cas(object, info?.version ?? null, bytes)
    }
    const stranger = signingKeyOf(Buffer.alloc(32, 9))
    const forged = { envelope: addSignature(stranger, recordOf({ name: 'a', made: 'poison' }).envelope) }
    await replace(String(objects[0]), Buffer.from(JSON.stringify(forged)))
    await replace(String(objects[1]), Buffer.from('{"envelope":'))
    // Of another key, signed by the server.
    const [copied] = await service.lookUp([main], [keyOf('c')])
    const fresh = await openService({ store })
    await replace(String(objects[1]), copied ?? Buffer.alloc(0))
    expect(await found(fresh, ['a', 'b', 'c'])).toEqual([undefined, undefined, output('c')])
    expect(await putStep(fresh, { name: 'a' })).toEqual({ outcome: 'stored' })
    expect(await putStep(fresh, { name: 'b' })).toEqual({ outcome: 'stored' })
    expect(await found(fresh, ['a', 'b', 'c'])).toEqual([output('a'), output('b'), output('c')])
  })

  it('what a former key of the server signed still counts, what another key signed does not', async () => {
    const store = memoryStore()
    await putStep(await openService({ store }), { name: 'a' })
    const key = signingKeyOf(Buffer.alloc(32, 4))
    expect(await found(await openService({ store, key }), ['a'])).toEqual([undefined])
    expect(await found(await openService({ store, key, formerKeys: [serverKey] }), ['a'])).toEqual([
      output('a'),
    ])
  })

  it('a key that is made or removed counts or does not at once, and in what is in memory too', async () => {
    const store = memoryStore()
    let keys = [serverKey]
    const service = await openRecordService({
      store,
      now: () => 1_750_000_000_000,
      hasBlob: async () => true,
      get key() {
        return keys[0] ?? serverKey
      },
      get formerKeys() {
        return keys.slice(1)
      },
    })
    await putStep(service, { name: 'a' })
    expect(await found(service, ['a'])).toEqual([output('a')])
    const next = signingKeyOf(Buffer.alloc(32, 4))
    keys = [next, serverKey]
    expect(service.keys.map(({ id }) => id)).toEqual([next.id, serverKey.id])
    await putStep(service, { name: 'b' })
    expect(await found(await openService({ store, key: next }), ['b'])).toEqual([output('b')])
    expect(await found(service, ['a', 'b'])).toEqual([output('a'), output('b')])
    keys = [next]
    expect(await found(service, ['a', 'b'])).toEqual([undefined, output('b')])
    expect(await putStep(service, { name: 'a' })).toEqual({ outcome: 'stored' })
    expect(await found(service, ['a'])).toEqual([output('a')])
  })

  it('clocks that are wrong by an hour change nothing (L-10)', async () => {
    const store = memoryStore()
    const at = 1_750_000_000_000
    let skew = 0
    const service = await openService({ store, now: () => at + skew })
    const late = await openService({ store, now: () => at + skew - 3_600_000 })
    await putStep(service, { name: 'a', createdAt: at + 3_600_000 })
    await putStep(late, { name: 'b', createdAt: 1 })
    skew = 2000
    for (const each of [service, late])
      expect(await found(each, ['a', 'b'])).toEqual([output('a'), output('b')])
    skew = -3_600_000
    await putStep(service, { name: 'c' })
    expect(await found(service, ['a', 'b', 'c'])).toEqual([output('a'), output('b'), output('c')])
  })
})

describe('plans', () => {
  const definition = (op: string, below?: Digest) => ({
    kind: 'step' as const,
    op,
    inputs:
      below === undefined ? [] : [{ kind: 'known' as const, input: { kind: 'result' as const, key: below } }],
  })

  it('goes around a record that cannot be used, to the next scope and what stands upon it there', async () => {
    const blobs = blobWorld()
    let now = 1_750_000_000_000
    const service = await openService({ hasBlob: blobs.has, now: () => now })
    const first = definitionKey('first', [])
    const upon = (made: string) => definitionKey('second', [{ kind: 'result', key: output(made) }])
    blobs.add(main, 'm1', 'm2')
    blobs.add(pr, 'p1', 'p2')
    await putStep(service, { name: 'first', key: first, made: 'm1' })
    await putStep(service, { name: 'second', key: upon('m1'), made: 'm2' })
    await putStep(service, { name: 'first', key: first, made: 'p1', scope: pr })
    await putStep(service, { name: 'second', key: upon('p1'), made: 'p2', scope: pr })
    const steps = [
      definition('first'),
      { ...definition('second'), inputs: [{ kind: 'step' as const, step: 0 }] },
    ]
    const made = async () =>
      (await service.plan([pr, main], steps)).map((bytes) => {
        const record = parseRecord(String(bytes))
        return record && decodePayload(record.envelope)?.result.outputKey
      })
    expect(await made()).toEqual([output('p1'), output('p2')])
    blobs.remove(pr, 'p1')
    now += 31_000
    expect(await made()).toEqual([output('m1'), output('m2')])
    blobs.remove(main, 'm1')
    now += 31_000
    expect(await made()).toEqual([undefined, undefined])
  })
})

describe('several processes on one storage', () => {
  it('a record of another process is found when the index may be no older (L-08)', async () => {
    const store = memoryStore()
    let now = 1_750_000_000_000
    const options = { store, now: () => now, staleMs: 1000 }
    const one = await openService(options)
    const two = await openService(options)
    expect(await found(two, ['a'])).toEqual([undefined])
    await putStep(one, { name: 'a' })
    now += 999
    expect(await found(two, ['a'])).toEqual([undefined])
    now += 1
    expect(await found(two, ['a'])).toEqual([output('a')])
  })

  it('processes that store at the same moment lose nothing of each other', async () => {
    const store = memoryStore()
    let now = 1_750_000_000_000
    const services = await Promise.all(
      Array.from({ length: 4 }, () => openService({ store, now: () => now })),
    )
    const names = Array.from({ length: 40 }, (_, place) => `n${place}`)
    await Promise.all(names.map((name, place) => putStep(services[place % 4] as RecordService, { name })))
    now += 1000
    for (const service of services) expect(await found(service, names)).toEqual(names.map(output))
    expect(await found(await openService({ store }), names)).toEqual(names.map(output))
  })

  it('of two that store different results at one moment one wins, and both are told', async () => {
    const store = memoryStore()
    const [one, two] = [await openService({ store }), await openService({ store })]
    const outcomes = await Promise.all([
      putStep(one, { name: 'a', made: 'x' }),
      putStep(two, { name: 'a', made: 'y' }),
    ])
    expect(outcomes.map(({ outcome }) => outcome).toSorted()).toEqual(['different', 'stored'])
  })

  it('so many changes at once that nobody could read them as one are several entries', async () => {
    const store = memoryStore()
    const service = await openService({ store })
    await putStep(service, { name: 'last' })
    const names = Array.from({ length: 40_000 }, (_, place) => ({ scope: main, key: keyOf(`${place}`) }))
    await service.remove([...names, { scope: main, key: keyOf('last') }])
    const entries: string[] = []
    for await (const { key } of store.list('record-log/v1/')) entries.push(key)
    expect(entries).toHaveLength(4)
    expect(await found(await openService({ store }), ['last'])).toEqual([undefined])
  })

  it('a removed record is a miss for every process', async () => {
    const store = memoryStore()
    let now = 1_750_000_000_000
    const options = { store, now: () => now }
    const [one, two] = [await openService(options), await openService(options)]
    await putStep(one, { name: 'a' })
    now += 1000
    expect(await found(two, ['a'])).toEqual([output('a')])
    await one.remove([{ scope: main, key: keyOf('a') }])
    expect(await found(one, ['a'])).toEqual([undefined])
    now += 1000
    expect(await found(two, ['a'])).toEqual([undefined])
    expect(await two.has([main], [keyOf('a')])).toEqual([false])
  })
})

describe('starting', () => {
  const list = async (store: ReturnType<typeof memoryStore>, prefix: string) => {
    const keys: string[] = []
    for await (const { key } of store.list(prefix)) keys.push(key)
    return keys
  }

  it('makes the index of the records where there is none, and reads it from then on', async () => {
    const store = memoryStore()
    const first = await openService({ store })
    for (const name of ['a', 'b']) await putStep(first, { name })
    const rebuilt: number[] = []
    const options = { store, onRebuilt: (records: number) => void rebuilt.push(records) }
    expect(await found(await openService(options), ['a', 'b'])).toEqual([output('a'), output('b')])
    expect(rebuilt).toEqual([])
    for (const key of await list(store, 'record-log/')) await store.delete(key)
    expect(await found(await openService(options), ['a', 'b'])).toEqual([output('a'), output('b')])
    expect(rebuilt).toEqual([2])
    expect(await found(await openService(options), ['a', 'b'])).toEqual([output('a'), output('b')])
    expect(rebuilt).toEqual([2])
  })

  it('an index that is damaged is made anew', async () => {
    const store = memoryStore()
    await putStep(await openService({ store }), { name: 'a' })
    for (const key of await list(store, 'record-log/')) await store.delete(key)
    await openService({ store })
    const [object] = await list(store, 'record-index/')
    const service = await openService({ store })
    if (object === undefined) throw new Error('no index')
    const info = await store.head(object)
    await store.cas(object, info?.version ?? null, Buffer.from('tsbuild record index 1\nnonsense'))
    await putStep(service, { name: 'b' })
    expect(await found(await openService({ store }), ['a', 'b'])).toEqual([output('a'), output('b')])
  })

  it('the log is written into an index after a while, and removed an hour later', async () => {
    let now = 1_750_000_000_000
    const store = memoryStore({ now: () => now })
    const service = await openService({ store, now: () => now })
    const names = Array.from({ length: 520 }, (_, place) => `n${place}`)
    for (const name of names) await putStep(service, { name })
    await service.maintain()
    expect((await list(store, 'record-log/')).length).toBe(520)
    now += 3_600_001
    const behind = await openService({ store, now: () => now })
    await service.maintain()
    expect(await list(store, 'record-log/')).toEqual([])
    await putStep(service, { name: 'new' })
    now += 1000
    for (const each of [service, behind, await openService({ store, now: () => now })])
      expect(await found(each, ['n0', 'n519', 'new'])).toEqual([output('n0'), output('n519'), output('new')])
  })

  it('a process that slept while the log was removed goes on from the newest index', async () => {
    let now = 1_750_000_000_000
    const store = memoryStore({ now: () => now })
    const options = { store, now: () => now }
    const [awake, asleep] = [await openService(options), await openService(options)]
    for (let place = 0; place < 520; place++) await putStep(awake, { name: `n${place}` })
    await awake.maintain()
    now += 3_600_001
    await awake.maintain()
    expect(await found(asleep, ['n0', 'n519'])).toEqual([output('n0'), output('n519')])
  })
})

describe('uses', () => {
  it('are noted once in an hour, and read back by the name of the record', async () => {
    let now = 1_750_000_000_000
    const store = memoryStore({ now: () => now })
    const service = await openService({ store, now: () => now })
    for (const name of ['a', 'b']) await putStep(service, { name })
    const object = recordObject({ scope: main, key: keyOf('a') })
    for (const wait of [0, 60_000, 3_600_000]) {
      now += wait
      await found(service, ['a'])
      await service.maintain()
    }
    expect(await readUses(store)).toEqual(new Map([[object, now]]))
    const notes: string[] = []
    for await (const { key } of store.list('record-uses/')) notes.push(key)
    expect(notes.length).toBe(2)
  })
})
