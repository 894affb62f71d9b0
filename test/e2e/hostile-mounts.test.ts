import { describe } from 'vitest'
import { userNames } from '../support/builder-user.ts'
import { type HostileRow, judgeRows, onBusybox, onImageWith } from '../support/hostile-table.ts'
import { useOracle } from '../support/use-oracle.ts'

const shows = (...output: readonly string[]) => ({ wants: { output } })
const invalid = (line: number) => ({ wants: { code: 'ERR_MOUNT_SOURCE_INVALID', line } }) as const

const sources: readonly HostileRow[] = [
  ...['sel', './sel', 'sel/directory', 'up', 'deep/sel'].map(
    (source): HostileRow => [
      `MNT-01: a cache whose source=${source} is made a symlink by another stage`,
      ({ tree }) => ({
        dockerfile: [
          'FROM busybox:test AS first',
          `RUN --mount=type=cache,id=escape,target=/c cd /c && ln -sfn ${tree} sel && ln -sfn ${'../'.repeat(12)}${tree.slice(1)} up && mkdir -p deep && ln -sfn ../sel deep/sel`,
          'FROM busybox:test AS second',
          'COPY --from=first /etc/passwd /ordered',
          `RUN --mount=type=cache,id=escape,source=${source},target=/sel cat /sel/token; touch /sel/evil`,
        ],
        ...invalid(5),
      }),
    ],
  ),
  ...['/absolute', '/up', '/chain', '/proc-link'].map(
    (source): HostileRow => [
      `MNT-02: a stage whose ${source} is a symlink to the host`,
      ({ tree }) => ({
        dockerfile: [
          'FROM busybox:test AS base',
          `RUN ln -s ${tree} /absolute && ln -s ${'../'.repeat(12)}${tree.slice(1)} /up && ln -s absolute /chain && ln -s /proc/self/root${tree} /proc-link`,
          'FROM busybox:test',
          `RUN --mount=type=bind,from=base,source=${source},target=/exploit,rw cat /exploit/token; touch /exploit/BREAKOUT`,
        ],
        ...invalid(4),
      }),
    ],
  ),
  [
    'MNT-02: a stage whose /rootdir is a symlink to / shows itself',
    ({ folder }) => ({
      dockerfile: [
        'FROM busybox:test AS base',
        'RUN ln -s / /rootdir && touch /stage',
        'FROM busybox:test',
        `RUN --mount=type=bind,from=base,source=/rootdir,target=/exploit,rw ls -d /exploit/stage && touch /exploit/BREAKOUT && ls -d /exploit${folder} 2>/dev/null; echo end`,
      ],
      ...shows('/exploit/stage', 'end'),
    }),
  ],
  ...['../../../..', '/../../..', 'a/../../..'].map(
    (source): HostileRow => [
      `MNT-03: a cache with source=${source} shows itself`,
      () => ({
        ...onBusybox(
          'RUN --mount=type=cache,id=itself,target=/c mkdir -p /c/a && touch /c/mark',
          `RUN --mount=type=cache,id=itself,source=${source},target=/x ls /x`,
        ),
        ...shows('a', 'mark'),
      }),
    ],
  ),
  ...[
    '../x',
    '/etc',
    'a/../../b',
    '.',
    '..',
    '../../../../../../tmp/x',
    'x'.repeat(5000),
    'caf\u00e9',
    'cafe\u0301',
    '%2e%2e',
  ].map(
    (id, index): HostileRow => [
      `MNT-03: the cache of id ${id.slice(0, 30)} is one of its own`,
      // The second run finds what the first one left, and nothing of another id.
      () => ({
        ...onBusybox(`RUN --mount=type=cache,id=${id},target=/c touch /c/${index} && ls -A /c`),
        ...shows(`${index}`),
      }),
    ],
  ),
]

const options: readonly HostileRow[] = [
  'type=bind,target=/x,bind-propagation=suid',
  'type=bind,target=/x,bind-propagation=rw,dev,exec',
  'type=bind,,target=/x',
  'type=cache,target=/x,sharing=foo',
  'type=cache,target=/x,mode=0999',
  'type=cache,target=/x,uid=-1',
  'type=tmpfs,target=/x,size=-1',
  'type=secret,id=t,target=/x,mode=u+s',
  'type=none,target=/x',
  'type=tmpfs',
  'type=tmpfs,target=/x,source=/etc',
  'target',
].map(
  (text): HostileRow => [
    `MNT-04: --mount=${text}`,
    () => ({
      ...onBusybox(`RUN --mount=${text} true`),
      wants: { code: 'ERR_DOCKERFILE_MOUNT_OPTION', line: 2 },
    }),
  ],
)

const stubs: readonly HostileRow[] = [
  [
    'MNT-05: the parent of a mount point becomes a symlink to the host',
    ({ tree }) => ({
      ...onBusybox(
        'RUN --mount=type=tmpfs,target=/a/b/c touch /a/b/c/x',
        'RUN test ! -e /a && ln -s TREE /a'.replace('TREE', tree),
        'RUN --mount=type=tmpfs,target=/a/b/c touch /a/b/c/x; echo end',
      ),
      ...shows('end'),
    }),
  ],
  [
    'MNT-05: the step itself replaces the parent of its mount point',
    ({ tree }) => ({
      ...onBusybox(
        `RUN --mount=type=tmpfs,target=/a/b/c mv /a /gone 2>/dev/null || umount /a/b/c 2>/dev/null || echo refused; rm -rf /a 2>/dev/null; ln -sfn ${tree} /a; ls /a`,
      ),
      // Nothing can be renamed away below a mount point; what can is inside of the image.
      wants: { output: /^/ },
    }),
  ],
  [
    'MNT-05: nine mounts leave nothing in the layer',
    () => ({
      ...onBusybox(
        `RUN ${[1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => `--mount=type=tmpfs,target=/stub${n}/deep`).join(' ')} ls -d /stub*/deep | wc -l`,
        'RUN ls -d /stub* 2>/dev/null | wc -l',
      ),
      ...shows('9', '0'),
    }),
  ],
  [
    'MNT-05: a mount point below a symlink of the image to the host',
    ({ tree }) => ({
      ...onImageWith(
        [{ name: 'a', type: '2', link: tree }],
        'RUN --mount=type=tmpfs,target=/a/new touch /a/new/x && ls /a/new',
      ),
      ...shows('x'),
    }),
  ],
  [
    'MNT-07: the cgroups of the machine',
    () => ({
      ...onBusybox(
        'RUN mkdir /sys/fs/cgroup/evil 2>/dev/null && echo made; for f in $(find /sys/fs/cgroup -name "cgroup.procs" 2>/dev/null); do (echo 1 > $f) 2>/dev/null && echo wrote $f; done; (echo x > /proc/sys/kernel/core_pattern) 2>/dev/null && echo wrote; echo end',
      ),
      ...shows('end'),
    }),
  ],
  [
    'MNT-08: a pull request poisons the cache of main',
    () => {
      const cache = (text: string) => `RUN --mount=type=cache,id=npm,target=/npm ${text}`
      return [
        {
          ...onBusybox(cache('mkdir -p /npm/.bin && echo good > /npm/.bin/tool && cat /npm/.bin/tool')),
          ...shows('good'),
        },
        {
          ...onBusybox(
            cache(
              'echo evil > /npm/.bin/tool; echo evil > /npm/.bin/evil; ln -s / /npm/root 2>/dev/null; ls /npm/.bin',
            ),
          ),
          flags: ['--scope', 'pr/7'],
          ...shows('evil', 'tool'),
        },
        {
          ...onBusybox(cache('ls -A /npm /npm/.bin && cat /npm/.bin/tool')),
          ...shows('/npm:', '.bin', '', '/npm/.bin:', 'tool', 'good'),
        },
        { ...onBusybox(cache('cat /npm/.bin/tool')), flags: ['--scope', 'pr/8'], ...shows('good') },
        { ...onBusybox(cache('true')), flags: ['--scope', '../main'], wants: { code: 'ERR_USAGE' } },
      ]
    },
  ],
]

/** @see spec/security.md section 3.2 */
describe.each(userNames)('hostile RUN --mount, as %s', (userName) => {
  judgeRows(useOracle(userName, 'mounts'), [...sources, ...options, ...stubs])
})
