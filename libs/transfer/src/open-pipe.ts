import { close, constants, open } from 'node:fs'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'

const openFd = promisify(open)
const closeFd = promisify(close)
const wakeMs = 50

/**
 * Opens a named pipe for reading, once somebody has it open for writing. The wait can be ended: a program whose `open(2)` waits in a
 * thread cannot even exit.
 *
 * @throws the signal's reason
 */
export async function openPipe(path: string, signal: AbortSignal | undefined): Promise<Readable> {
  signal?.throwIfAborted()
  let waking: NodeJS.Timeout | undefined
  // A writer of our own lets the reader through, who then sees the signal. It may be there before the reader waits.
  const wake = () => {
    waking = setInterval(() => void writeNothing(path), wakeMs)
  }
  signal?.addEventListener('abort', wake, { once: true })
  let fd: number
  try {
    fd = await openFd(path, constants.O_RDONLY | constants.O_NOCTTY)
  } finally {
    clearInterval(waking)
    signal?.removeEventListener('abort', wake)
  }
  if (signal?.aborted === true) {
    await closeFd(fd)
    signal.throwIfAborted()
  }
  // Reads as bytes come; a file's stream would wait for them in a thread as well.
  return new Socket({ fd, readable: true, writable: false })
}

async function writeNothing(path: string): Promise<void> {
  try {
    await closeFd(await openFd(path, constants.O_WRONLY | constants.O_NONBLOCK))
  } catch (error) {
    // Nobody reads it: not yet, or no more.
    if (!(error instanceof Error && 'code' in error && error.code === 'ENXIO')) throw error
  }
}
