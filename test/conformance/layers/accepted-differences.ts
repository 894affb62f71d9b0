/** Why cases have another result elsewhere, and ours stays. */
type Reasons = readonly (readonly [reason: string, cases: readonly string[]])[]

const umoci: Reasons = [
  [
    'a name with ".." means something else to each tool behind a symlink, so tsbuild refuses it even where it stays inside',
    [
      'containerd HardlinkDirectRelative',
      'containerd WhiteoutRelativePath',
      'containers/storage UntarInvalidFilenames: ../victim/dotdot',
      'containers/storage UntarInvalidFilenames: /../victim/slash-dotdot',
      'umoci SanitiseScoping: ..',
      'umoci SanitiseScoping: /..',
      'umoci SanitiseScoping: .. at the end',
      'umoci SanitiseScoping: up and out',
      'umoci SanitiseScoping: to a file of the host',
    ],
  ],
  [
    'readers disagree about the archive (GNU tar, Python or Go refuse it, or list other files), so tsbuild refuses it',
    [
      'TAR-04: a PAX size with a sign',
      'TAR-04: a GNU and a PAX long name',
      'TAR-04: a PAX header behind which nothing comes',
      'TAR-04: a device that claims content',
      'TAR-04: a file whose name ends with a slash',
      'TAR-04: a hard link with a PAX size',
      'TAR-04: a link that claims content',
      'TAR-04: an empty PAX link',
      'TAR-04: an empty PAX name',
      'TAR-04: an empty PAX size',
      'TAR-04: two GNU long names',
      'TAR-04: two PAX headers for one entry',
    ],
  ],
  [
    'no writer of archives writes that; tsbuild refuses what only an attacker needs',
    ['TAR-04: a GNU long name with text behind its NUL', 'TAR-04: a directory that claims content'],
  ],
  [
    'umoci 0.4 does not know the type; Docker and containerd do',
    [
      'TAR-04: a contiguous file',
      'TAR-04: a global PAX header with a comment',
      'files of all old types over each other',
    ],
  ],
  [
    'the kernel has no such owner or device: umoci drops the upper bits',
    [
      'FS-07: the group 2^32-1',
      'FS-07: the owner -1',
      'FS-07: the owner 2^32',
      'FS-07: the owner 2^32-1',
      'TAR-08: a major number of -1',
      'TAR-08: a major number of 2^12',
      'TAR-08: a major number of 2^32+1',
      'TAR-08: a minor number of -1',
      'TAR-08: a minor number of 2^20',
      'TAR-08: a minor number of 2^32+3',
    ],
  ],
  [
    'the image specification wants whiteouts to be empty files; umoci takes any type, and files below them',
    [
      'TAR-06: a device',
      'TAR-06: a directory',
      'TAR-06: a file below a whiteout',
      'TAR-06: a link',
      'TAR-06: a pipe',
      'containerd WhiteoutDirectoryName',
    ],
  ],
  [
    'the image specification reserves .wh. names: bookkeeping of AUFS is no file',
    ['TAR-06: bookkeeping of AUFS'],
  ],
  [
    'these mean something to overlayfs: umoci, which mounts nothing, sets or drops them',
    [
      ...['metacopy', 'opaque', 'origin', 'overlay.opaque', 'redirect', 'whiteout'].map(
        (mark) => `TAR-07: a directory with trusted.overlay.${mark}`,
      ),
      ...['metacopy', 'opaque', 'redirect', 'whiteout'].map(
        (mark) => `TAR-07: a directory with user.overlay.${mark}`,
      ),
      'TAR-07: a file with the mark of a whiteout',
      'TAR-07: the device 0:0',
    ],
  ],
  ['umoci gives longer paths than PATH_MAX to the kernel', ['TAR-12: 16 components of 255 bytes']],
  ['what a machine has measured is no part of an image', ['TAR-13: a signature of the machine']],
  ['the kernel follows 40 links, umoci 255', ['a chain of 45 links is a loop']],
  [
    'a layer is unpacked on its own, as Docker and containerd do for overlayfs: links of the layers below are not followed',
    ['a file below a link of the layer below'],
  ],
  ['umoci removes the file before it links to it', ['a hard link to itself']],
]

const readers: Reasons = [
  [
    'Python joins the prefix field of any header; only those of ustar have one',
    ['TAR-04: a prefix in an entry of GNU is none', 'TAR-04: a prefix in an entry of the seventies is none'],
  ],
  [
    'all read them alike, but no writer of archives writes them',
    ['TAR-04: a GNU long name with text behind its NUL', 'TAR-04: a directory that claims content'],
  ],
  [
    'GNU tar and Python want a header at least; to Go, and so to Docker, no bytes are an archive without files',
    ['TAR-04: nothing at all'],
  ],
]

const table = (reasons: Reasons): ReadonlyMap<string, string> =>
  new Map(reasons.flatMap(([reason, cases]) => cases.map((name) => [name, reason] as const)))

/** Cases whose result is another one with umoci 0.4. */
export const differencesFromUmoci: ReadonlyMap<string, string> = table(umoci)

/** Cases that Python's, Go's or GNU's reader lists otherwise. */
export const differencesFromReaders: ReadonlyMap<string, string> = table(readers)
