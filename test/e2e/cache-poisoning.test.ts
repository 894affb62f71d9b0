import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { idToken } from '../../libs/token-exchange/src/testing/issuer.ts'
import { tokenOf } from '../support/cache-instance.ts'
import { clientAttempts, takesWhatIsTrue } from '../support/poisoning/client.ts'
import { requestAttempts } from '../support/poisoning/requests.ts'
import { storageAttempts } from '../support/poisoning/storage.ts'
import { ciClaims, ciKey, tokenAttempts } from '../support/poisoning/tokens.ts'
import {
  type Attempt,
  digestOf,
  evilLayer,
  main,
  payloadOf,
  pr7,
  recordOf,
  recordPath,
  World,
} from '../support/poisoning/world.ts'

/** A server, and everybody who wants main to use what main did not build. */
let world: World
let tried = 0
let accepted = 0

beforeAll(async () => {
  world = new World()
  await world.open([ciKey])
})
afterAll(async () => {
  await world.close()
  console.info(`attempts to poison the cache of main: ${tried}, accepted: ${accepted}`)
})

async function attempt({ run, mayMiss }: Attempt): Promise<void> {
  tried += 1
  accepted += 1
  await run(world)
  await world.assertClean(mayMiss)
  accepted -= 1
}

describe('what is tried is possible where it is permitted', () => {
  const freshKey = digestOf('a step that only these tests store')

  it('CAC-01: what a pull request stores first is found by itself, and by nobody else', async () => {
    const { tokens } = world
    const body = recordOf(payloadOf(pr7, freshKey, evilLayer))
    expect((await world.send('PUT', recordPath(pr7, freshKey), { token: tokens.pr7, body })).status).toBe(201)
    const found = async (token: string): Promise<boolean> =>
      (await world.lookUp(token, [freshKey]))[0] !== undefined
    expect(await found(tokens.pr7)).toBe(true)
    expect([await found(tokens.main), await found(tokens.pr8), await found(tokens.stranger)]).toEqual([
      false,
      false,
      false,
    ])
  })

  it('main stores what is refused to others, over the same raw socket', async () => {
    const key = digestOf('a step of main, sent by hand')
    const body = recordOf(payloadOf(main, key, evilLayer))
    expect(await world.raw('PUT', recordPath(main, key), world.tokens.main, body)).toBe(201)
  })

  it('the client takes records that are signed, of the key and of the scope that it reads', async () => {
    expect(await takesWhatIsTrue(world)).toEqual([1, 1, 1])
  })

  it('a push to main gets a token that writes main', async () => {
    const token = idToken(ciKey, {
      ...ciClaims(world.issuer),
      event_name: 'push',
      ref: 'refs/heads/main',
      ref_type: 'branch',
    })
    const { status, text } = await world.send('POST', '/v1/auth/exchange', {
      body: JSON.stringify({ token }),
    })
    expect({ status, write: (JSON.parse(text) as { write: string }).write }).toEqual({
      status: 200,
      write: 'gh:acme/app:ref/main',
    })
  })
})

describe('the cache of main', () => {
  it.each(requestAttempts)('$row: is not poisoned by $name', attempt)
  it.each(tokenAttempts)('$row: is not poisoned by $name', attempt)

  it.each(clientAttempts)('$row: is not poisoned by an answer with $name', attempt)

  it('CAC-01: is not poisoned by a token that was taken back', () =>
    attempt({
      row: 'CAC-01',
      name: 'revoked',
      run: async () => {
        const token = await tokenOf(world.server.key, { read: ['ref/main'], write: 'ref/main', id: 'stolen' })
        expect((await world.send('GET', '/v1/capabilities', { token })).status).toBe(200)
        await world.server.revoke('stolen')
        const body = recordOf(payloadOf(main, digestOf('stolen'), evilLayer))
        expect((await world.send('PUT', recordPath(main, digestOf('stolen')), { token, body })).status).toBe(
          401,
        )
      },
    }))
})

describe('what lies in the storage of main', () => {
  // Each on a server of its own, since what was changed stays so.
  it.each(storageAttempts)('$row: does not count: $name', async (tampering) => {
    const before = world
    world = new World()
    try {
      await world.open()
      await attempt(tampering)
    } finally {
      await world.close()
      world = before
    }
  })
})

it('more than a hundred attempts were made, and none was accepted', () => {
  expect(tried).toBeGreaterThan(100)
  expect(accepted).toBe(0)
})
