import { processHost } from './host.ts'
import { main } from './main.ts'

export { main, processHost }

/** Runs the command of this process and ends the process. Called once, by the launcher. */
export async function start(): Promise<void> {
  const code = await main(process.argv.slice(2), processHost())
  // An empty write ends after those before it, for a pipe takes 64 KiB at a time.
  process.stderr.write('', () => process.stdout.write('', () => process.exit(code)))
}
