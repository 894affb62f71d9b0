import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** What is known of a process. */
interface Process {
  readonly pid: string
  readonly commandLine: string
  readonly parent: string
  /** Every text that says what the process works on: its command line, environment, mounts and directory. */
  readonly traces: string
}

/** The ids of all processes. */
export function listProcesses(): readonly string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name))
}

/**
 * Finds processes that began later than `before` was taken and still are there after some seconds: those that have to do
 * with `folder`, and helpers and network programs that nobody waits for.
 *
 * @param before what `listProcesses()` gave
 */
export async function findNewOrphans(
  folder: string,
  before: readonly string[],
  seconds: number,
): Promise<readonly string[]> {
  const look = () =>
    listProcesses()
      .filter((pid) => !before.includes(pid))
      .flatMap((pid) => readProcess(pid))
      .filter(({ parent, commandLine, traces }) => {
        const ours = /(^|\/)(tsbuild-helper|pasta|slirp4netns)\b/.test(commandLine)
        return traces.includes(folder) || (ours && parent === '1')
      })
      .map(({ pid, commandLine }) => `${pid} ${commandLine}`)
  let found = look()
  for (let attempt = 0; attempt < seconds * 10 && found.length > 0; attempt += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    const still = look()
    // A process of another test may come and go; ours does not go.
    found = found.filter((line) => still.includes(line))
  }
  return found
}

function readProcess(pid: string): readonly Process[] {
  try {
    const read = (file: string) => readFileSync(`/proc/${pid}/${file}`, 'latin1').replaceAll('\0', ' ')
    const commandLine = read('cmdline')
    const parent = /^PPid:\t(\d+)$/m.exec(read('status'))?.[1] ?? ''
    const traces = [commandLine, read('environ'), read('mountinfo'), readlinkSync(`/proc/${pid}/cwd`)].join(
      '\n',
    )
    return [{ pid, commandLine, parent, traces }]
  } catch {
    // It ended meanwhile, or is in the middle of it.
    return []
  }
}
