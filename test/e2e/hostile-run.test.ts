import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect } from 'vitest'
import { userNames } from '../support/builder-user.ts'
import { needs } from '../support/capabilities.ts'
import { type HostileRow, judgeRows, onBusybox, onImageWith } from '../support/hostile-table.ts'
import { repository } from '../support/repository.ts'
import type { TarEntry } from '../support/tar.ts'
import { useOracle } from '../support/use-oracle.ts'

const refused = (code: 'ERR_ROOTFS_INVALID' | 'ERR_USER_INVALID' | 'ERR_WORKDIR_INVALID', line: number) => ({
  wants: { code, line },
})
const shows = (...output: readonly string[]) => ({ wants: { output } })
const run = (...args: readonly string[]) => ['run', '--network', 'none', ...args]
const link = (name: string, target: string): TarEntry => ({ name, type: '2', link: target })

const capabilities = (set: string) => [
  'CapInh:\t0000000000000000',
  `CapPrm:\t${set}`,
  `CapEff:\t${set}`,
  'CapBnd:\t00000000a80425fb',
  'CapAmb:\t0000000000000000',
]
const docker = '00000000a80425fb'
const none = '0000000000000000'

const descriptors: readonly HostileRow[] = [
  ...[3, 4, 7, 8, 9, 63].map(
    (number): HostileRow => [
      `RUN-01: WORKDIR /proc/self/fd/${number}`,
      () => ({
        ...onBusybox(`WORKDIR /proc/self/fd/${number}`, 'RUN ls ../../..'),
        ...refused('ERR_WORKDIR_INVALID', 3),
      }),
    ],
  ),
  [
    'RUN-01: no descriptor but 0, 1 and 2',
    () => ({
      // The shell holds the directory open while it expands the pattern, and closes it then.
      ...onBusybox('RUN for f in /proc/self/fd/*; do test ! -e $f || echo ${f##*/}; done'),
      ...shows('0', '1', '2'),
    }),
  ],
  [
    'RUN-01: tsbuild run in /proc/self/fd/7',
    () => ({
      command: run('-w', '/proc/self/fd/7', 'busybox:test', 'ls', '../../..'),
      wants: { code: 'ERR_WORKDIR_INVALID' },
    }),
  ],
  [
    'RUN-02: a shell that is /proc/self/exe',
    () => ({
      ...onImageWith([link('bin/evil', '/proc/self/exe')], 'SHELL ["/bin/evil", "-c"]', 'RUN true'),
      wants: { code: 'ERR_STEP_FAILED', line: 4 },
    }),
  ],
  [
    'RUN-02: writes to the program of the first process',
    () => ({
      ...onBusybox(
        'RUN for p in /proc/1/exe /proc/self/fd/../../1/exe; do (: > $p) 2>/dev/null && echo wrote $p; cp /bin/busybox $p 2>/dev/null && echo copied $p; done; echo end',
      ),
      ...shows('end'),
    }),
  ],
]

const devices: readonly HostileRow[] = [
  ...(
    [
      ['a link to core_pattern', link('dev/null', '/proc/sys/kernel/core_pattern')],
      ['a pipe', { name: 'dev/null', type: '6' }],
      ['a file', { name: 'dev/null', data: 'x' }],
      ['/dev/zero', { name: 'dev/null', type: '3', device: [1, 5] }],
    ] satisfies readonly (readonly [string, TarEntry])[]
  ).map(
    ([what, entry]): HostileRow => [
      `RUN-03: /dev/null of the image is ${what}`,
      (_, user) => ({
        ...onImageWith(
          [entry],
          "RUN stat -c '%F %t:%T' /dev/null && echo '|evil' > /dev/null && head -c 1 /proc/kcore 2>/dev/null | wc -c",
        ),
        ...(user !== 'root' && entry.type === '3'
          ? { wants: { code: 'ERR_DEVICE_FORBIDDEN', line: 2 } }
          : shows('character special file 1:3', '0')),
      }),
    ],
  ),
  [
    'RUN-04: /dev/pts and /dev/console of the image are links',
    ({ tree }) => ({
      ...onImageWith(
        [link('dev/pts', tree), link('dev/console', `${tree}/token`)],
        'RUN ls /dev/pts; test ! -e /dev/console',
      ),
      ...shows('ptmx'),
    }),
  ],
  ...['dev', 'proc', 'sys'].flatMap((name): readonly HostileRow[] => [
    [
      `RUN-05 and RUN-06: /${name} of the image is a link to the host`,
      ({ tree }) => ({ ...onImageWith([link(name, tree)], 'RUN true'), ...refused('ERR_ROOTFS_INVALID', 3) }),
    ],
    [
      `RUN-05: /${name} of the image is a link inside of it`,
      () => ({
        ...onImageWith([{ name: 'tmp/fake', type: '5' }, link(name, '/tmp/fake')], 'RUN true'),
        ...refused('ERR_ROOTFS_INVALID', 3),
      }),
    ],
  ]),
  [
    'RUN-06: tsbuild run of an image whose /dev is a link',
    ({ tree }) => [
      {
        ...onImageWith([link('dev', tree)]),
        flags: ['-t', 'evil:dev', '-o', 'type=image'],
        ...shows(),
      },
      { command: run('evil:dev', 'ls', '/dev'), wants: { code: 'ERR_ROOTFS_INVALID' } },
    ],
  ],
]

const reserved: readonly HostileRow[] = [
  '/proc',
  '/sys',
  '/dev',
  '/proc/self',
  '/dev/../proc',
  '/sys/fs/cgroup',
].map(
  (target): HostileRow => [
    `RUN-05: mounts at ${target}`,
    () =>
      ['type=tmpfs', 'type=cache', 'type=bind,from=busybox:test,source=/tmp'].map((mount) => ({
        ...onBusybox(`RUN --mount=${mount},target=${target} true`),
        wants: { code: 'ERR_MOUNT_TARGET_RESERVED', line: 2 },
      })),
  ],
)

const privileges: readonly HostileRow[] = [
  [
    'RUN-08: capabilities of root, of another user, and of tsbuild run',
    () => [
      {
        ...onBusybox('RUN grep Cap /proc/self/status', 'USER web', 'RUN grep Cap /proc/self/status'),
        ...shows(...capabilities(docker), ...capabilities(none)),
      },
      { command: run('busybox:test', 'grep', '-q', `CapEff.*${docker}`, '/proc/self/status'), ...shows() },
    ],
  ],
  ...(['--security=insecure', '--network=host'] as const).map(
    (flag): HostileRow => [
      `RUN-10: ${flag} without --allow`,
      () => ({ ...onBusybox(`RUN ${flag} true`), wants: { code: 'ERR_ENTITLEMENT', line: 2 } }),
    ],
  ),
  [
    'RUN-12: no terminal',
    () => ({
      ...onBusybox(
        'RUN wc -c; tty; (: < /dev/tty) 2>/dev/null || echo refused; cut -d" " -f7 /proc/self/stat',
      ),
      ...shows('0', 'not a tty', 'refused', '0'),
    }),
  ],
  [
    'RUN-14: no abstract socket in the network of the machine is ours',
    () => ({
      ...onBusybox('RUN --network=host grep -iE "@.*(tsbuild|buildkit)" /proc/net/unix || echo none'),
      flags: ['--allow', 'network.host'],
      ...shows('none'),
    }),
  ],
  [
    'RUN-15: environments, keys, files and processes of the builder',
    ({ file, ownFile, folder }) => [
      {
        ...onBusybox(
          `RUN cat /proc/*/environ /proc/keys 2>/dev/null | grep -ac CANARY_TOKEN; for p in /proc/[0-9]*; do for f in ${file} ${ownFile}; do cat $p/root$f $p/cwd/../../../../../..$f; done; done 2>/dev/null; ls -d ${folder} 2>/dev/null; find / -xdev -name own-file; echo end`,
        ),
        ...shows('0', 'end'),
      },
      { command: run('busybox:test', 'sh', '-c', 'cat /proc/*/environ; true'), ...shows() },
    ],
  ],
  [
    'metadata: a step with the default network asks the loopback of the machine',
    ({ server }) => ({
      ...onBusybox(
        `RUN gateway=$(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p'); for host in 127.0.0.1 localhost $gateway; do wget -T 2 -q -O - http://$host:${server.split(':')[1]}/ && echo got; done; echo end`,
      ),
      flags: ['--network', 'default'],
      ...shows('end'),
    }),
  ],
]

const users: readonly HostileRow[] = [
  ...['-1', '4294967295', '4294967296', '1e30', '0x0', '１', '99999999999999999999', '0:4294967295'].map(
    (user): HostileRow => [
      `RUN-16: USER ${user}`,
      () => ({ ...onBusybox(`USER ${user}`, 'RUN id -u'), ...refused('ERR_USER_INVALID', 3) }),
    ],
  ),
  ...(
    [
      ['a pipe', [{ name: 'etc/passwd', type: '6' }]],
      ['a link to a device', [link('etc/passwd', '/dev/zero')]],
      ['11 MiB', [{ name: 'etc/passwd', data: `${'x:x:9:9::/:/x\n'.repeat(850_000)}app:x:5:5::/:/x\n` }]],
      ['a directory', [{ name: 'etc/passwd', type: '5' }]],
    ] satisfies readonly (readonly [string, readonly TarEntry[]])[]
  ).map(
    ([what, entries]): HostileRow => [
      `RUN-16: /etc/passwd is ${what}`,
      () => ({ ...onImageWith(entries, 'USER app', 'RUN id -u'), ...refused('ERR_USER_INVALID', 4) }),
    ],
  ),
  [
    'RUN-16: /etc/passwd is a link to a file of the host',
    ({ folder, ownFile }) => ({
      ...onImageWith([link('etc/passwd', ownFile)], `USER ${folder.length > 0 ? 'app' : ''}`, 'RUN id -u'),
      wants: { code: 'ERR_USER_NOT_FOUND', line: 4 },
    }),
  ],
  [
    'RUN-17: a number is that number',
    () => ({
      ...onBusybox(
        'USER 1',
        'RUN id -u && id -g',
        'USER 1000',
        'RUN id -u && id -g',
        'USER 007:8',
        'RUN id -u && id -g',
      ),
      ...shows('1', '0', '1000', '1000', '7', '8'),
    }),
  ],
]

/** @see spec/security.md section 3.1 */
describe.each(userNames)('RUN sandbox escapes, as %s', (userName) => {
  const oracle = useOracle(userName, 'run')
  const identify = () => ({
    helper: createHash('sha256')
      .update(readFileSync(join(repository, 'native/helper/bin/tsbuild-helper')))
      .digest('hex'),
    corePattern: readFileSync('/proc/sys/kernel/core_pattern', 'utf8'),
  })
  let before: ReturnType<typeof identify>
  beforeEach((test) => {
    needs(test, 'program pasta')
    before = identify()
  })
  // RUN-02 and RUN-03: what the attacks aim at.
  afterEach(() => expect(identify()).toEqual(before))

  judgeRows(oracle, [...descriptors, ...devices, ...reserved, ...privileges, ...users])
})
