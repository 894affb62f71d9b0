import { dir, file, hardlink, symlink } from '../archive.ts'
import type { LayerCase } from '../layer-case.ts'

const etc = [dir('etc', 0o770), file('etc/passwd', 'inside')]
const tree = ['dir etc 0770', 'file etc/passwd = inside']
const climb = '../../../../../../..'

const symlinks: readonly LayerCase[] = [
  {
    name: 'containerd SymlinkAbsolute',
    layer: [dir('etc'), symlink('localetc', '/etc'), file('/localetc/unbroken', 'x')],
    wants: ['dir etc', 'file etc/unbroken = x', 'link localetc -> /etc'],
  },
  {
    name: 'containerd SymlinkUpAndOut',
    layer: [dir('etc'), dir('dummy'), symlink('localetc', '/dummy/../etc'), file('localetc/unbroken', 'x')],
    wants: ['dir dummy', 'dir etc', 'file etc/unbroken = x', 'link localetc -> /dummy/../etc'],
  },
  {
    name: 'containerd SymlinkMultipleAbsolute',
    layer: [
      dir('etc'),
      dir('dummy'),
      symlink('/dummy/etc', '/etc'),
      symlink('localetc', '/dummy/etc'),
      file('/localetc/unbroken', 'x'),
    ],
    wants: [
      'dir dummy',
      'link dummy/etc -> /etc',
      'dir etc',
      'file etc/unbroken = x',
      'link localetc -> /dummy/etc',
    ],
  },
  {
    name: 'containerd SymlinkMultipleRelative',
    layer: [
      dir('etc'),
      dir('dummy'),
      symlink('/dummy/etc', '/etc'),
      symlink('localetc', './dummy/etc'),
      file('/dummy/etc/unbroken', 'x'),
    ],
    wants: [
      'dir dummy',
      'link dummy/etc -> /etc',
      'dir etc',
      'file etc/unbroken = x',
      'link localetc -> ./dummy/etc',
    ],
  },
  {
    name: 'containerd SymlinkEmptyFile',
    layer: [dir('etc'), file('etc/emptied', 'full'), symlink('localetc', '/etc'), file('localetc/emptied')],
    wants: ['dir etc', 'file etc/emptied', 'link localetc -> /etc'],
  },
  {
    name: 'containerd SymlinkParentDirectory',
    layer: [...etc, symlink('..', '/etc'), file('../passwd', 'evil')],
    wants: 'ERR_LAYER_ESCAPE',
  },
  {
    name: 'containerd SymlinkEmptyFilename',
    layer: [...etc, symlink('', '/etc'), file('passwd', 'evil')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'containerd SymlinkParentRelative',
    layer: [...etc, dir('localetc'), symlink('localetc/..', '/etc'), file('localetc/../passwd', 'evil')],
    wants: 'ERR_LAYER_ESCAPE',
  },
  {
    name: 'containerd SymlinkSlashEnded',
    layer: [...etc, dir('localetc/'), symlink('localetc/', '/etc'), file('/localetc/passwd', 'x')],
    wants: ['dir etc 0770', 'file etc/passwd = x', 'link localetc -> /etc'],
  },
  {
    name: 'containerd SymlinkOverrideDirectory',
    base: [...etc, dir('localetc')],
    layer: [symlink('localetc', '/etc'), file('/localetc/unbroken', 'x')],
    wants: ['dir etc 0770', 'file etc/passwd = inside', 'file etc/unbroken = x', 'link localetc -> /etc'],
  },
  {
    name: 'containerd SymlinkOverrideDirectoryRelative',
    base: [...etc, dir('localetc')],
    layer: [symlink('localetc', '../../etc'), file('/localetc/unbroken', 'x')],
    wants: [
      'dir etc 0770',
      'file etc/passwd = inside',
      'file etc/unbroken = x',
      'link localetc -> ../../etc',
    ],
  },
  {
    name: 'containerd SymlinkOverridePath (TAR-01)',
    layer: [dir('a'), file('a/b', '1'), dir('kept'), symlink('a', 'kept'), file('a/c', 'x'), dir('a/d')],
    wants: ['link a -> kept', 'dir kept', 'file kept/c = x', 'dir kept/d'],
  },
  {
    name: 'containerd DirectoryOverrideSymlink',
    layer: [...etc, symlink('localetc', '/etc'), dir('/localetc'), file('/localetc/passwd', 'other')],
    wants: [...tree, 'dir localetc', 'file localetc/passwd = other'],
  },
  {
    name: 'containerd DirectoryOverrideRelativeSymlink',
    layer: [...etc, symlink('localetc', `${climb}/etc`), dir('/localetc'), file('/localetc/passwd', 'other')],
    wants: [...tree, 'dir localetc', 'file localetc/passwd = other'],
  },
  {
    name: 'containerd DirectoryOverrideSymlink of the layer below',
    base: [...etc, symlink('localetc', '/etc')],
    layer: [dir('localetc'), file('localetc/passwd', 'other')],
    wants: [...tree, 'dir localetc', 'file localetc/passwd = other'],
  },
]

const hardlinks: readonly LayerCase[] = [
  {
    name: 'containerd HardlinkRelative',
    layer: [
      ...etc,
      dir('breakouts'),
      symlink('breakouts/d1', '../../etc'),
      hardlink('breakouts/mypasswd', '/breakouts/d1/passwd'),
    ],
    wants: [
      'dir breakouts',
      'link breakouts/d1 -> ../../etc',
      'file breakouts/mypasswd = inside',
      'dir etc 0770',
      'same etc/passwd = breakouts/mypasswd',
    ],
  },
  {
    name: 'containerd HardlinkDownAndOut',
    layer: [
      ...etc,
      dir('breakouts'),
      dir('downandout'),
      symlink('breakouts/d1', '../downandout/../../etc'),
      hardlink('breakouts/mypasswd', '/breakouts/d1/passwd'),
    ],
    wants: [
      'dir breakouts',
      'link breakouts/d1 -> ../downandout/../../etc',
      'file breakouts/mypasswd = inside',
      'dir downandout',
      'dir etc 0770',
      'same etc/passwd = breakouts/mypasswd',
    ],
  },
  ...[
    ['HardlinkAbsolute', '/etc'],
    ['HardlinkRelativeLong', `${climb}/etc`],
    ['HardlinkRelativeUpAndOut', `upandout/${climb}/etc`],
  ].map(([name = '', target = '']) => ({
    name: `containerd ${name}`,
    layer: [
      ...etc,
      dir('upandout'),
      symlink('localetc', target),
      hardlink('localpasswd', '/localetc/passwd'),
    ],
    wants: [...tree, `link localetc -> ${target}`, 'same localpasswd = etc/passwd', 'dir upandout'],
  })),
  {
    name: 'containerd HardlinkDirectRelative',
    layer: [...etc, hardlink('localpasswd', '../../../../../etc/passwd')],
    wants: 'ERR_LAYER_ESCAPE',
  },
  {
    name: 'containerd HardlinkDirectAbsolute',
    layer: [...etc, hardlink('localpasswd', '/etc/passwd')],
    wants: [...tree, 'same localpasswd = etc/passwd'],
  },
  {
    name: 'containerd HardlinkSymlinkBeforeCreateTarget',
    layer: [
      dir('etc', 0o770),
      symlink('localpasswd', '/etc/passwd'),
      hardlink('localpasswd-dup', 'localpasswd'),
      file('/etc/passwd', 'after'),
    ],
    wants: [
      'dir etc 0770',
      'file etc/passwd = after',
      'link localpasswd -> /etc/passwd',
      'same localpasswd-dup = localpasswd',
    ],
  },
  ...[
    ['HardlinkSymlinkRelative', '../../../../../etc/passwd'],
    ['HardlinkSymlinkAbsolute', '/etc/passwd'],
  ].map(([name = '', target = '']) => ({
    name: `containerd ${name}`,
    layer: [...etc, symlink('passwdlink', target), hardlink('localpasswd', '/passwdlink')],
    wants: [...tree, `link localpasswd -> ${target}`, 'same passwdlink = localpasswd'],
  })),
  {
    name: 'containerd HardlinkSymlinkChmod',
    layer: [
      ...etc,
      symlink('passwdlink', '/etc/passwd'),
      hardlink('localpasswd', 'passwdlink', { mode: 0o6777, uid: 7, gid: 7 }),
    ],
    wants: [...tree, 'link localpasswd -> /etc/passwd', 'same passwdlink = localpasswd'],
  },
]

const base = [...etc, file('etc/whitelist', 'x')]
const all = [...tree, 'file etc/whitelist = x']

const whiteouts: readonly LayerCase[] = [
  {
    name: 'containerd WhiteoutRootParent',
    base,
    layer: [file('.wh...')],
    wants: 'ERR_LAYER_WHITEOUT',
  },
  {
    name: 'containerd WhiteoutParent',
    base,
    layer: [file('etc/.wh...')],
    wants: 'ERR_LAYER_WHITEOUT',
  },
  {
    name: 'containerd WhiteoutRoot',
    base,
    layer: [file('.wh..')],
    wants: 'ERR_LAYER_WHITEOUT',
  },
  {
    name: 'containerd WhiteoutCurrentDirectory',
    base,
    layer: [file('etc/.wh..')],
    wants: 'ERR_LAYER_WHITEOUT',
  },
  {
    name: 'containerd WhiteoutSymlink',
    base: [...base, symlink('localetc', '/etc')],
    layer: [file('.wh.localetc')],
    wants: all,
  },
  {
    name: 'containerd WhiteoutSymlinkPath',
    base,
    layer: [symlink('localetc', '/etc'), file('localetc/.wh.whitelist')],
    wants: [...tree, 'link localetc -> /etc'],
  },
  {
    name: 'containerd WhiteoutDirectoryName',
    base: [...base, dir('lib'), file('lib/a', 'a')],
    layer: [file('.wh.lib/whitelist')],
    wants: 'ERR_LAYER_WHITEOUT',
  },
  {
    name: 'containerd WhiteoutDeadSymlinkParent',
    base: [...base, symlink('dead', '/nowhere')],
    layer: [file('dead/.wh.whitelist')],
    wants: ['link dead -> /nowhere', ...all],
  },
  {
    name: 'containerd WhiteoutRelativePath',
    base: [...base, dir('dir')],
    layer: [file('dir/../etc/.wh.whitelist')],
    wants: 'ERR_LAYER_ESCAPE',
  },
]

/** What containerd's TestBreakouts tries. */
export const breakouts: readonly LayerCase[] = [...symlinks, ...hardlinks, ...whiteouts]
