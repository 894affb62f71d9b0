import { describe, expect, it } from 'vitest'
import { framed, maxMessageBytes, readMessages } from './frames.ts'
import { MalformedMessage, wireNumber } from './wire.ts'

async function* chunks(...parts: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* parts
}

async function read(...parts: readonly Buffer[]): Promise<readonly string[]> {
  const messages: string[] = []
  for await (const message of readMessages(chunks(...parts))) messages.push(message.toString())
  return messages
}

const three = Buffer.concat([framed(Buffer.from('a')), framed(Buffer.from('bc')), framed(Buffer.from('def'))])

describe('readMessages()', () => {
  it('finds the messages wherever chunks end', async () => {
    for (let cut = 0; cut <= three.length; cut++)
      expect(await read(three.subarray(0, cut), three.subarray(cut))).toEqual(['a', 'bc', 'def'])
    expect(await read(...[...three].map((byte) => Buffer.of(byte)))).toEqual(['a', 'bc', 'def'])
  })

  it('drops a message that the end cuts off', async () => {
    for (let cut = three.length - 6; cut < three.length; cut++)
      expect(await read(three.subarray(0, cut))).toEqual(['a', 'bc'])
  })

  it('takes the longest message, and refuses a longer one and an empty one before their bytes came', async () => {
    const [longest] = await read(framed(Buffer.alloc(maxMessageBytes, 'x')))
    expect(longest).toHaveLength(maxMessageBytes)
    for (const length of [maxMessageBytes + 1, 0xffffffff, 0x80000000, 0])
      await expect(read(wireNumber(length))).rejects.toThrow(MalformedMessage)
  })

  it('takes the longest message in single bytes, without copying it for each', async () => {
    async function* singles(): AsyncGenerator<Buffer> {
      yield wireNumber(maxMessageBytes)
      for (let sent = 0; sent < maxMessageBytes; sent++) yield Buffer.of(120)
    }
    const lengths: number[] = []
    for await (const message of readMessages(singles())) lengths.push(message.length)
    expect(lengths).toEqual([maxMessageBytes])
  })
})
