/** What a line of the live view is about. */
export type Role = 'run' | 'cancel' | 'error' | 'warning' | 'faint'

/** SGR parameters for each role; empty where it has no colour of its own. */
export type Palette = Readonly<Record<Role, string>>

const names: ReadonlyMap<string, string> = new Map([
  ['default', '39'],
  ['black', '30'],
  ['red', '31'],
  ['green', '32'],
  ['yellow', '33'],
  ['blue', '34'],
  ['magenta', '35'],
  ['cyan', '36'],
  ['white', '37'],
  ['light-black', '90'],
  ['light-red', '91'],
  ['light-green', '92'],
  ['light-yellow', '93'],
  ['light-blue', '94'],
  ['light-magenta', '95'],
  ['light-cyan', '96'],
  ['light-white', '97'],
])

/** BuildKit's colours. */
export const defaultPalette: Palette = { run: '34', cancel: '33', error: '31', warning: '33', faint: '2' }
const colourless: Palette = { run: '', cancel: '', error: '', warning: '', faint: '' }

/**
 * The colours that the environment asks for: none with NO_COLOR (any value but the empty one) or TERM=dumb, else
 * BuildKit's with the changes of BUILDKIT_COLORS, for example `run=green:warning=yellow:error=red:cancel=255,165,0`.
 * What cannot be understood there is passed over, as BuildKit does.
 */
export function paletteOf(env: Readonly<Record<string, string | undefined>>): Palette {
  if (env.NO_COLOR || env.TERM === 'dumb') return colourless
  const palette: Record<Role, string> = { ...defaultPalette }
  for (const setting of (env.BUILDKIT_COLORS ?? '').split(':')) {
    const [role, value] = setting.split('=', 2)
    const sgr = value === undefined ? undefined : parseColor(value)
    if (sgr === undefined) continue
    if (role === 'run' || role === 'cancel' || role === 'error' || role === 'warning') palette[role] = sgr
  }
  return palette
}

/** Wraps a text into a colour. */
export function paint(palette: Palette, role: Role, text: string): string {
  return palette[role] === '' ? text : `\x1b[${palette[role]}m${text}\x1b[0m`
}

function parseColor(value: string): string | undefined {
  const name = names.get(value.toLowerCase())
  if (name !== undefined) return name
  const parts = value.split(',').map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : 256))
  return parts.length === 3 && parts.every((part) => part < 256) ? `38;2;${parts.join(';')}` : undefined
}
