import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { command, run } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('run-image')
})
afterAll(() => workspace?.remove())

const image = 'busybox:test'

/**
 * Runs a command on a terminal of 33 rows and 101 columns and types each answer when the screen shows its cue; prints the
 * screen, whether the terminal is what it was before, and the exit code.
 */
const driver = `
import fcntl, json, os, pty, struct, sys, termios
talk, argv = json.loads(sys.argv[1]), sys.argv[2:]
master, slave = os.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 33, 101, 0, 0))
before = termios.tcgetattr(slave)
child = os.fork()
if child == 0:
    os.login_tty(slave) if hasattr(os, 'login_tty') else (os.setsid(), [os.dup2(slave, fd) for fd in range(3)], fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.execv(argv[0], argv)
reader = os.fork()
if reader == 0:
    screen = b''
    os.close(slave)
    while True:
        try: part = os.read(master, 4096)
        except OSError: break
        if not part: break
        screen += part
        while talk and talk[0][0].encode() in screen:
            os.write(master, talk.pop(0)[1].encode())
    os.write(1, screen)
    os._exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
same = termios.tcgetattr(slave) == before
os.close(slave)
os.waitpid(reader, 0)
print('same terminal' if same else 'another terminal', status)
`

async function onTerminal(args: readonly string[], talk: readonly (readonly [string, string])[]) {
  const argv = ['-c', driver, JSON.stringify(talk), command, ...args]
  const { stdout } = await run('python3', argv, {
    env: { TSBUILD_ROOT: workspace.tsbuild.root, TERM: 'vt220' },
  })
  return stdout
}

describe('tsbuild run', () => {
  it('gives the program a terminal and puts the own one back', async () => {
    const script = 'tty; stty size; echo $TERM; echo ready; read x; echo "got $x"; exit 9'
    const screen = await onTerminal(
      ['run', '-it', '--network', 'none', image, 'sh', '-c', script],
      [['ready', 'abc\r']],
    )
    expect(screen).toBe('/dev/pts/0\r\n33 101\r\nvt220\r\nready\r\nabc\r\ngot abc\r\nsame terminal 9\n')
  })

  it('types Ctrl-C into the terminal of the program', async () => {
    const script = 'trap "echo caught; exit 3" INT; echo ready; while :; do sleep 0.1; done'
    const screen = await onTerminal(
      ['run', '-it', '--network', 'none', image, 'sh', '-c', script],
      [['ready', '\x03']],
    )
    expect(screen).toBe('ready\r\n^Ccaught\r\nsame terminal 3\n')
  })

  it('hands SIGINT and SIGTERM to the program, whose exit code counts', async () => {
    for (const [signal, trap] of [
      ['SIGINT', 'INT'],
      ['SIGTERM', 'TERM'],
    ] as const) {
      const script = `trap "exit 4" ${trap}; echo ready >&2; while :; do sleep 0.1; done`
      const running = workspace.tsbuild.start(['run', '--network', 'none', image, 'sh', '-c', script])
      await running.saw(/ready/)
      running.child.kill(signal)
      expect((await running.outcome).code).toBe(4)
    }
  })

  it('has the variables of --env-file for the program, and not for itself or Node.js', async () => {
    const file = workspace.path('variables')
    writeFileSync(file, 'NODE_OPTIONS=--no-such-option\nTSBUILD_ROOT=/nowhere\nOWN=a b\n')
    const outcome = await workspace.tsbuild.run([
      'run',
      '--network',
      'none',
      '--env-file',
      file,
      image,
      'env',
    ])
    expect(outcome).toMatchObject({ code: 0, stderr: '' })
    expect(outcome.stdout).toContain('NODE_OPTIONS=--no-such-option\nTSBUILD_ROOT=/nowhere\nOWN=a b\n')
    const missing = await workspace.tsbuild.run(['run', '--env-file', `${file}.none`, image, 'env'])
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringContaining('[ERR_USAGE]') })
  })

  it('says that a limit ended the program', async () => {
    const script = 'head -c 100m /dev/zero | tail -c 100m >/dev/null'
    const args = ['run', '--network', 'none', '--memory', '16m', image, 'sh', '-c', script]
    const outcome = await workspace.tsbuild.run(args)
    expect(outcome).toMatchObject({ code: 137, stderr: expect.stringContaining('16 MiB (--memory)') })
  })

  it('mounts volumes, read-only where that is said, and says when one is missing', async () => {
    const dir = workspace.path('volume')
    mkdirSync(dir)
    symlinkSync(dir, workspace.path('link'))
    const base = ['run', '--network', 'none', '--read-only']
    await workspace.tsbuild.check([
      ...base,
      '-v',
      `${workspace.path('link')}:/v`,
      image,
      'sh',
      '-c',
      'echo x > /v/f',
    ])
    expect(readFileSync(`${dir}/f`, 'utf8')).toBe('x\n')
    for (const script of ['echo y > /v/f', 'echo y > /y']) {
      const outcome = await workspace.tsbuild.run([...base, '-v', `${dir}:/v:ro`, image, 'sh', '-c', script])
      expect(outcome).toMatchObject({ code: 1, stderr: expect.stringContaining('Read-only file system') })
    }
    expect(readFileSync(`${dir}/f`, 'utf8')).toBe('x\n')
    const missing = await workspace.tsbuild.run([...base, '-v', `${dir}/none:/v`, image, 'true'])
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining('docker makes a directory') })
  })
})
