import { PassThrough, Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { memoryHost } from '../test-support/memory-host.ts'
import { askPassword } from './ask-password.ts'

/** A terminal at which somebody types, and what became of its mode. */
function terminal(typed: readonly string[]) {
  const modes: boolean[] = []
  const stdin = Object.assign(new PassThrough(), {
    isTTY: true,
    setRawMode(raw: boolean) {
      modes.push(raw)
      if (raw) for (const keys of typed) stdin.write(keys)
    },
  })
  return { stdin, modes }
}

describe('askPassword()', () => {
  it('takes COSIGN_PASSWORD, also an empty one, and asks nobody', async () => {
    for (const password of ['secret', '']) {
      const host = memoryHost({ env: { COSIGN_PASSWORD: password } })
      expect(await askPassword('? ', host)).toBe(password)
      expect(host.err()).toBe('')
    }
  })

  it.each([
    ['a word', ['se', 'cret\r'], 'secret'],
    ['nothing', ['\n'], ''],
    ['a mistake', ['sx\u007fecrett\b\r'], 'secret'],
    ['letters of several bytes', ['gehéim\u{1f511}\u007f\r'], 'gehéim'],
    ['the end of input', ['secret\u0004'], 'secret'],
  ])('reads %s from the terminal and shows nothing of it', async (_what, typed, expected) => {
    const { stdin, modes } = terminal(typed)
    const host = { ...memoryHost(), stdin }
    expect(await askPassword('Password: ', host)).toBe(expected)
    expect(host.err()).toBe('Password: \n')
    expect(modes).toEqual([true, false])
  })

  it('gives up at Ctrl-C, with the terminal as it was', async () => {
    const { stdin, modes } = terminal(['sec\u0003'])
    await expect(askPassword('? ', { ...memoryHost(), stdin })).rejects.toMatchObject({
      code: 'ERR_CANCELLED',
    })
    expect(modes).toEqual([true, false])
  })

  it.each([
    ['secret\nmore\n', 'secret'],
    ['secret\r\n', 'secret'],
    ['secret', 'secret'],
    ['', ''],
  ])('takes the first line of standard input: %j', async (text, expected) => {
    const stdin = Readable.from([Buffer.from(text)])
    expect(await askPassword('? ', { ...memoryHost(), stdin })).toBe(expected)
  })
})
