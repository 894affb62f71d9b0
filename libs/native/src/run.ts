import type { ChildProcess } from 'node:child_process'
import type { Readable } from 'node:stream'
import type { CallOptions, HelperTarget } from './call.ts'
import { cancellable, type RunOptions, type RunOutput, type RunSignal, type Staged } from './native.ts'
import type { Reply } from './protocol.ts'
import type { RunRequest } from './protocol-run.ts'
import { startStaged } from './staged.ts'

/** See `Native.run`. */
export function run(
  target: HelperTarget,
  request: Omit<RunRequest, 'op' | 'stdin' | 'finish'>,
  output: RunOutput,
  options: RunOptions = {},
): Staged<'run'> {
  const stdin = output.kind === 'fds' && output.stdin !== null
  const carried: Promise<void>[] = []
  const early: RunSignal[] = []
  let process: ChildProcess | undefined
  let spawned: ChildProcess | undefined
  let stop: () => void = () => {}
  const stopped = () => stop()
  const onProcess = (child: ChildProcess) => {
    stop = options.signals?.((signal) => void (process?.kill(signal) ?? early.push(signal))) ?? stop
    spawned = child
    if (output.kind === 'fds') return
    carried.push(carry(child.stdio[3] as Readable | null, output.onStdout))
    carried.push(carry(child.stdio[4] as Readable | null, output.onStderr))
  }
  const full = { op: 'run', ...request, stdin, finish: options.finish ?? null } as const
  const joinUserNamespace = options.namespaces?.userFd !== undefined
  const extraFds = descriptors(output, options)
  const others = cancellable(options)
  const onReply = (reply: Reply) => {
    others.onReply?.(reply)
    if (reply.event !== 'started') return
    process = spawned
    for (const signal of early) spawned?.kill(signal)
  }
  const calling = { ...others, onReply, extraFds, onProcess, joinUserNamespace }
  const { outcome, content, finished } = startStaged(target, full, calling)
  finished.then(stopped, stopped)
  // The result and the output come on different descriptors: the last lines of a step may arrive after its end.
  const complete = outcome.then(async (result) => {
    await Promise.all(carried)
    return result
  })
  complete.catch(() => {})
  return { outcome: complete, content, finished }
}

/** Descriptors 3 to 8 of the helper: output, error output, input, layer, network and user namespace. */
function descriptors(output: RunOutput, options: RunOptions): NonNullable<CallOptions['extraFds']> {
  const streams =
    output.kind === 'fds'
      ? [output.stdout, output.stderr, output.stdin ?? 'ignore']
      : ['pipe', 'pipe', 'ignore']
  const { networkFd, userFd } = options.namespaces ?? {}
  const all = [...streams, options.layerFd ?? 'ignore', networkFd ?? 'ignore', userFd ?? 'ignore']
  return all.slice(0, all.findLastIndex((fd) => fd !== 'ignore') + 1) as NonNullable<CallOptions['extraFds']>
}

/** Hands chunks on until the helper has closed its side. */
function carry(stream: Readable | null, onData: (chunk: Buffer) => void): Promise<void> {
  if (stream === null) return Promise.resolve()
  stream.on('data', onData)
  return new Promise((resolve) => stream.once('close', resolve))
}
