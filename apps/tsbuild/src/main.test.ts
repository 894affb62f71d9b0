import { describe, expect, it } from 'vitest'
import { commands } from './commands.ts'
import { main } from './main.ts'
import { memoryHost } from './test-support/memory-host.ts'

describe('main() help and version', () => {
  it.each([['--help'], ['-h'], ['help']])('prints the overview for %s', async (argv) => {
    const machine = memoryHost()
    expect(await main([argv], machine)).toBe(0)
    for (const { usage } of commands) expect(machine.out()).toContain(`\n  ${usage} `)
  })

  it('prints the overview to standard error and ends with 2 without arguments', async () => {
    const machine = memoryHost()
    expect(await main([], machine)).toBe(2)
    expect(machine.out()).toBe('')
    expect(machine.err()).toContain('Usage: tsbuild')
  })

  it.each(commands.map((command) => command.name))(
    'prints the help of %s in 80 columns, both ways',
    async (name) => {
      const [one, two] = [memoryHost(), memoryHost()]
      expect(await main([name, '--help'], one)).toBe(0)
      expect(await main(['help', name], two)).toBe(0)
      expect(one.out()).toContain(`Usage: tsbuild ${name} `)
      expect(two.out()).toBe(one.out())
      expect(
        Math.max(
          ...one
            .out()
            .split('\n')
            .map((line) => line.length),
        ),
      ).toBeLessThanOrEqual(80)
    },
  )

  it('suggests the command whose help was meant', async () => {
    const machine = memoryHost()
    expect(await main(['help', 'imagse'], machine)).toBe(2)
    expect(machine.err()).toContain('there is no such command')
  })

  it.each(['--version', '-v', 'version'])('prints the version for %s', async (argv) => {
    const machine = memoryHost()
    expect(await main([argv], machine)).toBe(0)
    expect(machine.out()).toMatch(/^tsbuild \d+\.\d+\.\d+\n$/)
  })
})
