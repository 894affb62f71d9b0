import type { FixedCode, GarbageCode, ItemKind, Reason } from './types.ts'
import { bytesText, timeText } from './words.ts'

const garbageTexts: Readonly<Record<GarbageCode, string>> = {
  leftover: 'left half done by a process that died',
  'no-record': 'nothing refers to it',
  'no-snapshot': 'the files it stands for are gone',
  'no-lower': 'one of the layers in it is gone',
  'no-blob': 'the bytes it stands for are gone',
  unreadable: 'it cannot be read',
  superseded: 'fetched again since',
  'no-reader': 'nothing refers to it',
  quarantined: 'damaged, and put aside more than a week ago',
}

const fixedTexts: Readonly<Record<FixedCode, string>> = {
  image: 'a named image; `tsbuild rmi` takes its name away',
  fixed: 'part of every store',
  session: 'a process is at work in it',
  index: 'explains what was removed; its size is bounded',
}

/** Says why an item goes or stays, in a few words. */
export function reasonText(reason: Reason): string {
  switch (reason.code) {
    case 'garbage':
      return garbageTexts[reason.garbage]
    case 'unused':
      return `unused for ${timeText(reason.unusedMs)}`
    case 'least-valuable':
      return `least valuable: ${timeText(reason.rebuildMs)} to make again, ${bytesText(reason.bytes)}, unused for ${timeText(reason.unusedMs)}`
    case 'part-of-removed':
      return 'nothing else needs it'
    case 'in-use':
      return 'in use by a build'
    case 'recent':
      return `used ${timeText(reason.unusedMs)} ago, within ${timeText(reason.olderThanMs)}`
    case 'image':
      return `needed by image ${reason.image}`
    case 'image-step':
      return `image ${reason.image} was built from it; --all removes it`
    case 'image-unreadable':
      return `image ${reason.image} cannot be read and may need it`
    case 'part-of':
      return `needed by ${reason.item}`
    case 'below':
      return reason.count === 1
        ? `${reason.item} stands upon it`
        : `${reason.count} that stay stand upon it, one is ${reason.item}`
    case 'filter':
      return 'not what the filter asks for'
    case 'reach':
      return reachText(reason.kind)
    case 'enough':
      return 'there is room without removing it'
    case 'fixed':
      return fixedTexts[reason.fixed]
  }
}

/** The same for who has to run a step again: the same words for many steps. */
export function evictionText(reason: Reason): string {
  return reason.code === 'least-valuable'
    ? `least valuable, unused for ${timeText(reason.unusedMs)}`
    : reasonText(reason)
}

function reachText(kind: ItemKind): string {
  return kind === 'history' ? '`tsbuild history rm` removes it' : '--all removes it'
}
