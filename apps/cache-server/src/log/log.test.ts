import { describe, expect, it } from 'vitest'
import { memoryHost } from '../test-support/memory-host.ts'
import { openLog } from './log.ts'

const hostile = 'a\x1b[2J\nb\x9b31m\u202eend \\x41'

describe('openLog()', () => {
  it('writes one JSON object a line, with nothing in it that a terminal obeys', () => {
    const host = memoryHost()
    const log = openLog({ level: 'info', format: 'json' }, host)
    log.info({ path: hostile }, 'request')
    log.debug({}, 'not shown')
    expect(host.err()).toBe('')
    log.flush()
    const [line = '', ...others] = host.err().split('\n')
    expect(others).toEqual([''])
    expect(line).not.toMatch(/[\p{Cc}\u202e]/u)
    expect(JSON.parse(line)).toEqual({
      level: 'info',
      time: '2023-11-14T22:13:20.000Z',
      path: hostile,
      message: 'request',
    })
  })

  it('writes warnings at once, after what came before them', () => {
    const host = memoryHost()
    const log = openLog({ level: 'info', format: 'json' }, host)
    log.info({}, 'first')
    log.warn({}, 'second')
    expect(host.err()).toMatch(/first[^\n]*\n.*second[^\n]*\n$/)
  })

  it('writes text for people on a terminal', () => {
    const host = memoryHost({ isTTY: true })
    const log = openLog({ level: 'info', format: 'auto' }, host)
    log.error({ path: hostile, status: 500, agent: 'curl' }, 'failed\nreally')
    expect(host.err()).toBe(
      '22:13:20 error failed\\nreally  path="a\\u001b[2J\\nb\\x9b31m\\u202eend \\\\x41"  status=500  agent=curl\n',
    )
  })

  it('keeps no more than a batch back', () => {
    const host = memoryHost()
    const log = openLog({ level: 'info', format: 'json' }, host)
    for (let count = 0; count < 500; count += 1) log.info({}, 'x'.repeat(100))
    expect(host.err().length).toBeGreaterThan(40_000)
  })
})
