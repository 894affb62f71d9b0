import type { Builder, RunImageOptions } from '@tsbuild/builder'
import type { GlobalFlags } from './argv/global-flags.ts'
import type { Host } from './host.ts'
import { builderOptions } from './settings/builder-options.ts'

/** What a program that runs in the foreground needs of its caller. */
export type Foreground = Pick<RunImageOptions, 'signals' | 'signal'>

const numbers = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const

/**
 * Opens the store for a program in the foreground. Its first signal is the program's, who ends as it likes; before it has
 * started the signal ends the command. The second leaves at once, and nothing is left of the program.
 *
 * @param terminal whether the program has a terminal: ours is raw as long as it runs, and changes of its size are passed on
 */
export async function withProgram(
  flags: GlobalFlags,
  host: Host,
  terminal: boolean,
  use: (builder: Builder, foreground: Foreground) => Promise<number>,
): Promise<number> {
  const abort = new AbortController()
  let warned = false
  let send: Parameters<NonNullable<Foreground['signals']>>[0] | undefined
  let putBack: () => void = () => {}
  const stop = host.onSignal((signal) => {
    if (warned) {
      putBack()
      host.exitNow(128 + numbers[signal])
    }
    warned = true
    // A terminal that is gone takes no answer: the program is told to end.
    if (send === undefined) abort.abort()
    else send(signal === 'SIGHUP' ? 'SIGTERM' : signal)
  })
  const signals: Foreground['signals'] = (sender) => {
    send = sender
    if (!terminal) return () => {}
    const stopResizes = host.onResize(() => sender('SIGWINCH'))
    host.stdin.setRawMode?.(true)
    putBack = () => {
      stopResizes()
      host.stdin.setRawMode?.(false)
      putBack = () => {}
    }
    return () => putBack()
  }
  try {
    const builder = await host.openBuilder(await builderOptions(flags, host))
    try {
      return await use(builder, { signal: abort.signal, signals })
    } finally {
      await builder.close()
    }
  } finally {
    putBack()
    stop()
  }
}
