// Runs commands and takes their time.
import { spawn } from 'node:child_process'

/** A command: program and arguments, with what differs from the environment of this process. */
export function commandLine(program, args, env = {}) {
  return { program, args, env }
}

/** Runs a command; gives its wall time in seconds and its output. Throws with the output when it fails. */
export function runCommand({ program, args, env }) {
  return new Promise((resolve, reject) => {
    const startedAt = process.hrtime.bigint()
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk
      })
    }
    child.on('error', reject)
    child.on('close', (code) => {
      const seconds = Number(process.hrtime.bigint() - startedAt) / 1e9
      if (code === 0) resolve({ seconds, output })
      else reject(new Error(`${program} ${args.join(' ')}: exit code ${code}\n${output.slice(-2000)}`))
    })
  })
}

/**
 * Runs commands one after the other; gives the sum of their seconds.
 *
 * @param secondsOf reads the seconds from a command's output, when it is not the whole command that is measured
 */
export async function timeCommands(commands, secondsOf) {
  let seconds = 0
  for (const command of commands) {
    const ran = await runCommand(command)
    seconds += secondsOf === undefined ? ran.seconds : secondsOf(ran.output)
  }
  return seconds
}

/** The middle of the numbers. */
export function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Half of the distance between the fastest and the slowest, as a share of the median. */
export function spread(numbers) {
  return (Math.max(...numbers) - Math.min(...numbers)) / 2 / median(numbers)
}
