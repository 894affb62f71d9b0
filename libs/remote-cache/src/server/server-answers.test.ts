import { expect, it } from 'vitest'
import { createServerAnswers } from './server-answers.ts'

const { signal } = new AbortController()

it('get() asks once for those that want an answer at the same time and later, until it is forgotten', async () => {
  const { tokens } = createServerAnswers()
  let asked = 0
  const ask = async () => `token ${++asked}`
  expect(await Promise.all([tokens.get('a', ask, signal), tokens.get('a', ask, signal)])).toEqual([
    'token 1',
    'token 1',
  ])
  expect([await tokens.get('a', ask, signal), await tokens.get('b', ask, signal)]).toEqual([
    'token 1',
    'token 2',
  ])
  tokens.forget('a')
  expect(await tokens.get('a', ask, signal)).toBe('token 3')
})

it('get() asks on its own where the other one failed, and waits no longer than it may', async () => {
  const { tokens } = createServerAnswers()
  const failing = tokens.get('a', () => Promise.reject(new Error('their time is over')), signal)
  const own = tokens.get('a', async () => 'mine', signal)
  await expect(failing).rejects.toThrow('their time is over')
  expect(await own).toBe('mine')
  void tokens.get('b', () => new Promise(() => {}), signal)
  const cancel = new AbortController()
  const waiting = tokens.get('b', async () => 'not asked', cancel.signal)
  cancel.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
})
