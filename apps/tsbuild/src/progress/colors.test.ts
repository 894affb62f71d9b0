import { describe, expect, it } from 'vitest'
import { defaultPalette, paletteOf } from './colors.ts'

describe('paletteOf()', () => {
  it('takes colours from BUILDKIT_COLORS and none with NO_COLOR', () => {
    const env = { BUILDKIT_COLORS: 'run=green:error=light-red:cancel=255,165,0:warning=256,0,0:bad:x=red' }
    expect(paletteOf(env)).toEqual({ ...defaultPalette, run: '32', error: '91', cancel: '38;2;255;165;0' })
    expect(paletteOf({ ...env, NO_COLOR: '1' }).run).toBe('')
    expect(paletteOf({ NO_COLOR: '' })).toEqual(defaultPalette)
  })
})
