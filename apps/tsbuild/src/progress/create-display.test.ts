import { describe, expect, it } from 'vitest'
import { simpleBuild } from '../test-support/build-events.ts'
import { memoryHost } from '../test-support/memory-host.ts'
import { createDisplay, displayMode } from './create-display.ts'

describe('createDisplay()', () => {
  const show = (mode: 'json' | 'rawjson' | 'quiet' | 'none'): string => {
    const host = memoryHost()
    const display = createDisplay(mode, host)
    for (const event of simpleBuild) display.update(event)
    display.end(0)
    expect(host.out()).toBe('')
    return host.err()
  }

  it('writes one JSON object a line for json and rawjson, and nothing for quiet and none', () => {
    const json = show('json').trimEnd().split('\n')
    expect(json.map((line) => JSON.parse(line).type)).toEqual(simpleBuild.map((event) => event.type))
    expect(JSON.parse(json[0] ?? '')).toMatchObject({ format: 1 })
    const raw = show('rawjson').trimEnd().split('\n')
    expect(raw.flatMap((line) => Object.keys(JSON.parse(line)))).toEqual([
      ...['vertexes', 'vertexes', 'vertexes', 'vertexes', 'statuses', 'vertexes', 'vertexes', 'vertexes'],
      ...['logs', 'logs', 'logs', 'vertexes'],
    ])
    expect(show('quiet')).toBe('')
    expect(show('none')).toBe('')
  })
})

describe('displayMode()', () => {
  const terminal = { columns: 80, rows: 24 }

  it.each([
    [{}, {}, undefined, 'plain'],
    [{}, {}, terminal, 'tty'],
    [{}, { TERM: 'dumb' }, terminal, 'plain'],
    [{}, { BUILDKIT_PROGRESS: 'plain' }, terminal, 'plain'],
    [{}, { BUILDKIT_PROGRESS: 'plain', TSBUILD_PROGRESS: 'rawjson' }, terminal, 'rawjson'],
    [{ progress: 'auto' }, { BUILDKIT_PROGRESS: 'json' }, terminal, 'tty'],
    [{ quiet: true }, { BUILDKIT_PROGRESS: 'json' }, terminal, 'quiet'],
  ] as const)('chooses by %j and %j', (flags, env, size, mode) => {
    expect(displayMode(flags, memoryHost({ env, ...(size === undefined ? {} : { terminal: size }) }))).toBe(
      mode,
    )
  })

  it('refuses a live view without a terminal, and modes that do not exist', () => {
    const usage = expect.objectContaining({ code: 'ERR_USAGE' })
    expect(() => displayMode({ progress: 'tty' }, memoryHost())).toThrow(usage)
    expect(() => displayMode({}, memoryHost({ env: { BUILDKIT_PROGRESS: 'x' } }))).toThrow(usage)
    expect(() => displayMode({ progress: 'json', quiet: true }, memoryHost())).toThrow(usage)
  })
})
