import { UserError } from '@tsbuild/errors'
import { createRawJsonWriter, toNdjson } from '@tsbuild/events'
import type { Host } from '../host.ts'
import { paletteOf } from './colors.ts'
import { type Display, silentDisplay } from './display.ts'
import { type ProgressMode, progressModes } from './mode.ts'
import { createPlainDisplay } from './plain.ts'
import { createTtyDisplay } from './tty.ts'

/** What is shown of a build while it runs: a mode of `--progress` without `auto`. */
export type DisplayMode = Exclude<ProgressMode, 'auto'>

/**
 * Chooses the display: `--quiet`, `--progress`, TSBUILD_PROGRESS, BUILDKIT_PROGRESS, and then a live view on a terminal
 * and plain text elsewhere.
 *
 * @throws {UserError} `ERR_USAGE` if the live view is asked for where there is no terminal, `--quiet` and `--progress`
 *   contradict each other, or a variable has a mode that does not exist
 */
export function displayMode(
  flags: { readonly progress?: ProgressMode; readonly quiet?: true },
  host: Host,
): DisplayMode {
  if (flags.quiet === true) {
    const { progress = 'quiet' } = flags
    if (['auto', 'quiet', 'none'].includes(progress)) return 'quiet'
    throw new UserError('ERR_USAGE', `Cannot show --progress "${progress}": --quiet shows nothing`)
  }
  const terminal = host.stderr.isTTY === true
  const mode = flags.progress ?? environmentMode(host.env) ?? 'auto'
  if (mode === 'auto') return terminal && host.env.TERM !== 'dumb' ? 'tty' : 'plain'
  if (mode === 'tty' && !terminal) {
    throw new UserError('ERR_USAGE', 'Cannot show --progress "tty": standard error is no terminal')
  }
  return mode
}

function environmentMode(env: Host['env']): ProgressMode | undefined {
  for (const name of ['TSBUILD_PROGRESS', 'BUILDKIT_PROGRESS']) {
    const value = env[name]
    if (!value) continue
    const mode = progressModes.find((known) => known === value)
    if (mode !== undefined) return mode
    throw new UserError(
      'ERR_USAGE',
      `Cannot use ${name} "${value}": expected one of ${progressModes.join(', ')}`,
    )
  }
  return undefined
}

/** Makes the display of a mode; it writes to standard error. */
export function createDisplay(mode: DisplayMode, host: Host): Display {
  const write = (text: string): void => {
    host.stderr.write(text)
  }
  switch (mode) {
    case 'quiet':
    case 'none':
      return silentDisplay
    case 'plain':
      return createPlainDisplay(write)
    case 'tty':
      return createTtyDisplay(host.stderr, { palette: paletteOf(host.env), logLines: logLines(host.env) })
    case 'json':
      return { ...silentDisplay, update: (event) => write(toNdjson(event)) }
    case 'rawjson':
      return { ...silentDisplay, update: createRawJsonWriter(write) }
  }
}

function logLines(env: Host['env']): number {
  const text = env.BUILDKIT_TTY_LOG_LINES ?? ''
  return /^\d{1,3}$/.test(text) ? Number(text) : 6
}
