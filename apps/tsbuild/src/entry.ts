import { exitCodes } from './exit-code.ts'
import { processHost } from './host.ts'
import { main } from './main.ts'

export { main, processHost }

/** Runs the command of this process and ends the process. Called once, by the launcher. */
export async function start(): Promise<void> {
  let lost: Error | undefined
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // A reader that has seen enough (`| head`) is no failure; a full disk behind `>` is.
    if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED') lost ??= error
  })
  const code = await main(process.argv.slice(2), processHost())
  const leave = (): void => {
    if (lost !== undefined)
      process.stderr.write(`Error: Cannot write to standard output: ${lost.message}  [ERR_OUTPUT]\n`)
    // What is still open (idle connections, the index) is of no use any more; waiting for it would delay the prompt.
    process.exit(lost !== undefined && code === exitCodes.success ? exitCodes.environment : code)
  }
  // An empty write ends after those before it, for a pipe takes 64 KiB at a time; stream errors come out one turn later.
  process.stderr.write('', () => process.stdout.write('', () => setImmediate(leave)))
}
