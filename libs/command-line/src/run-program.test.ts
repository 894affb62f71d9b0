import { UserError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import type { CommandRow } from './commands.ts'
import { commandLines } from './commands.ts'
import { HelpRequested } from './help-requested.ts'
import { type ProgramHost, runProgram } from './run-program.ts'
import { textStream } from './testing/text-stream.ts'

const row: CommandRow<ProgramHost> = {
  name: 'count',
  usage: 'count [WORD...]',
  summary: 'Count words',
  load: async () => ({
    run: async (argv) => {
      if (argv[0] === '--help') throw new HelpRequested('the help\n')
      if (argv[0] === 'abort') throw new DOMException('The operation was aborted', 'AbortError')
      if (argv[0] === 'full') throw Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC' })
      if (argv[0] === 'bug') throw new RangeError('off by one')
      return 10 + argv.length
    },
    help: () => 'the help\n',
  }),
}

async function run(argv: readonly string[]) {
  const [stdout, out] = textStream()
  const [stderr, err] = textStream()
  const program = {
    name: 'counter',
    version: () => '1.2.3',
    overview: () => `${commandLines([row])}\n`,
    debug: false,
    choose: ([first, ...rest]: readonly string[]) => (first === undefined ? undefined : { row, argv: rest }),
    find: ([first = '']: readonly string[]) => {
      if (first === row.name) return row
      throw new UserError('ERR_USAGE', `Cannot show help for "${first}": there is no such command`)
    },
  }
  return { code: await runProgram(program, argv, { cwd: '/', stdout, stderr }), out: out(), err: err() }
}

const overview = [
  '  count [WORD...]  Count words',
  '  version          Print the version',
  '  help [COMMAND]   Show this, or the flags of a command',
  '',
].join('\n')

describe('runProgram()', () => {
  it('gives the command what is for it, and its exit code back', async () => {
    expect(await run(['count', 'a', 'b'])).toEqual({ code: 12, out: '', err: '' })
  })

  it.each([
    [['--version'], 0, 'counter 1.2.3\n', ''],
    [['help'], 0, overview, ''],
    [[], 2, '', overview],
    [['help', 'count'], 0, 'the help\n', ''],
    [['count', '--help'], 0, 'the help\n', ''],
    [['count', 'abort'], 130, '', 'Cancelled\n'],
  ])('answers %j with %d', async (argv, code, out, err) => {
    expect(await run(argv)).toEqual({ code, out, err })
  })

  it.each([
    [['help', 'cout'], 2, 'Error: Cannot show help for "cout": there is no such command  [ERR_USAGE]'],
    [['count', 'full'], 3, '[ERR_STORE_NO_SPACE]'],
    [['count', 'bug'], 70, 'This is a bug of counter. Please report it with the text above (counter 1.2.3,'],
  ])('reports what %j throws, with %d', async (argv, code, part) => {
    expect(await run(argv)).toMatchObject({ code, out: '', err: expect.stringContaining(part) })
  })
})
