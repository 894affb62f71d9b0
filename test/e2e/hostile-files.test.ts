import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe } from 'vitest'
import type { ErrorCode } from '../../libs/errors/src/codes.ts'
import { userNames } from '../support/builder-user.ts'
import { type HostileRow, judgeRows, onImageWith } from '../support/hostile-table.ts'
import { makeTar } from '../support/tar.ts'
import { useOracle } from '../support/use-oracle.ts'

const up = '../'.repeat(12)
const shows = (...output: readonly string[]) => ({ wants: { output } })

/** Links of the context, by the name that COPY is given: what each holds, and the error that COPY gets. */
const links: readonly (readonly [
  name: string,
  link: (tree: string) => string,
  copied: string,
  code: ErrorCode,
])[] = [
  ['absolute to a file', (tree) => `${tree}/token`, 'l', 'ERR_COPY_SOURCE_NOT_FOUND'],
  ['absolute to a directory', (tree) => tree, 'l/', 'ERR_COPY_SOURCE_NOT_FOUND'],
  ['absolute, with a path behind it', (tree) => tree, 'l/token', 'ERR_COPY_SOURCE_NOT_FOUND'],
  ['up to a file', (tree) => `${up}${tree.slice(1)}/token`, 'l', 'ERR_COPY_SOURCE_NOT_FOUND'],
  ['through /proc/self/root', (tree) => `/proc/self/root${tree}/token`, 'l', 'ERR_COPY_SOURCE_NOT_FOUND'],
  ['dangling', () => 'nowhere', 'l', 'ERR_COPY_SOURCE_NOT_FOUND'],
  ['to itself', () => 'l', 'l', 'ERR_SYMLINK_LOOP'],
]

const sources: readonly HostileRow[] = [
  ...links.map(
    ([name, link, copied, code]): HostileRow => [
      `CPY-02: COPY of a symlink ${name}`,
      ({ tree }) => ({
        dockerfile: ['FROM busybox:test', `COPY ${copied} /x/`],
        prepare: (context) => symlinkSync(link(tree), join(context, 'l')),
        wants: { code, line: 2 },
      }),
    ],
  ),
  ...([40, 41] as const).map(
    (length): HostileRow => [
      `CPY-02: COPY through a chain of ${length} symlinks`,
      () => ({
        dockerfile: ['FROM busybox:test', 'COPY l1 /x', 'RUN cat /x'],
        files: { end: 'end\n' },
        prepare: (context) => {
          for (let number = 1; number <= length; number += 1)
            symlinkSync(number === length ? 'end' : `l${number + 1}`, join(context, `l${number}`))
        },
        ...(length === 40 ? shows('end') : { wants: { code: 'ERR_SYMLINK_LOOP', line: 2 } }),
      }),
    ],
  ),
  [
    'CPY-02: a symlink below a copied directory stays a symlink',
    ({ tree }) => ({
      dockerfile: ['FROM busybox:test', 'COPY d /d', 'RUN readlink /d/l && ls /d/l/ 2>/dev/null; true'],
      prepare: (context) => {
        mkdirSync(join(context, 'd'))
        symlinkSync(tree, join(context, 'd', 'l'))
      },
      wants: { output: /^\/.*\/tree\n$/ },
    }),
  ],
  [
    'CPY-02: nothing of the host matches a wildcard behind a symlink, and .. of one to a descriptor is the context',
    ({ tree }) => ({
      dockerfile: [
        'FROM busybox:test',
        'COPY l/tok* /none/',
        'COPY fd/.. /all/',
        'RUN ls -A / /all | grep -E "none|token|mark"',
      ],
      files: { mark: '' },
      prepare: (context) => {
        symlinkSync(tree, join(context, 'l'))
        symlinkSync('/proc/self/fd/7', join(context, 'fd'))
      },
      ...shows('mark'),
    }),
  ],
  [
    'CPY-02: a symlink of a stage to the host',
    ({ tree }) => ({
      dockerfile: [
        'FROM busybox:test AS s',
        `RUN ln -s ${tree} /l`,
        'FROM busybox:test',
        'COPY --from=s /l/token /x',
      ],
      wants: { code: 'ERR_COPY_SOURCE_NOT_FOUND', line: 4 },
    }),
  ],
  [
    'CPY-02: a symlink through a directory that .dockerignore hides',
    () => ({
      dockerfile: ['FROM busybox:test', 'COPY l /x'],
      files: { '.dockerignore': 'hidden\n', 'hidden/file': 'x' },
      prepare: (context) => symlinkSync('hidden/file', join(context, 'l')),
      wants: { code: 'ERR_COPY_SOURCE_NOT_FOUND', line: 2 },
    }),
  ],
]

const destinations: readonly HostileRow[] = [
  'COPY x /lnk/',
  'COPY x /lnk/directory/x',
  'COPY --link x /lnk/',
  'COPY --parents d/x /lnk/',
  'COPY --chown=5:6 --chmod=777 d /lnk',
  'COPY <<END /lnk/token\nx\nEND',
  'ADD evil.tar /lnk/',
  'WORKDIR /lnk/w',
  'COPY x /up/token',
  'COPY x /root-of-all/../../../x',
].map(
  (line): HostileRow => [
    `CPY-03: ${line.split('\n', 1)[0]} where the image has symlinks to the host`,
    ({ tree }) => ({
      ...onImageWith(
        [
          { name: 'lnk', type: '2', link: tree },
          { name: 'up', type: '2', link: `${up}${tree.slice(1)}` },
          { name: 'root-of-all', type: '2', link: '/proc/self/root' },
        ],
        ...line.split('\n'),
        'RUN echo built',
      ),
      files: { x: 'x\n', 'd/x': 'x\n' },
      ...shows('built'),
    }),
  ],
)

const compressors = ['gzip', 'xz', 'bzip2', 'zstd'] as const
const archives: readonly HostileRow[] = compressors.map(
  (program): HostileRow => [
    `CPY-06: ADD of an archive of ${program} runs no program of the image`,
    () => ({
      dockerfile: [
        'FROM busybox:test',
        'COPY --chmod=755 evil /usr/bin/xz',
        ...['unxz', 'gzip', 'gunzip', 'unpigz', 'pigz', 'zstd', 'unzstd', 'bzip2', 'tar'].map(
          (name) => `COPY --chmod=755 evil /usr/bin/${name}`,
        ),
        'ADD x.tar.any /',
        'RUN cat /inside; ls /hit /usr/bin/hit 2>/dev/null; true',
      ],
      files: { evil: '#!/bin/sh\necho hit > /hit\ncat\n' },
      prepare: (context) => {
        const archive = execFileSync(program, ['-c'], {
          input: makeTar([{ name: 'inside', data: 'inside\n' }]),
        })
        writeFileSync(join(context, 'x.tar.any'), archive)
      },
      ...shows('inside'),
    }),
  ],
)

const special: readonly HostileRow[] = [
  [
    'CPY-11: COPY of a pipe does not wait for it',
    () => ({
      dockerfile: ['FROM busybox:test', 'COPY d /d', 'RUN test -p /d/pipe && echo pipe'],
      prepare: (context) => {
        mkdirSync(join(context, 'd'))
        execFileSync('mkfifo', [join(context, 'd', 'pipe')])
      },
      ...shows('pipe'),
    }),
  ],
]

/** @see spec/security.md section 3.3 */
describe.each(userNames)('hostile COPY, ADD and WORKDIR, as %s', (userName) => {
  judgeRows(useOracle(userName, 'files'), [...sources, ...destinations, ...archives, ...special])
})
