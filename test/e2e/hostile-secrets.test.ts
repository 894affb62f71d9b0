import { describe } from 'vitest'
import { userNames } from '../support/builder-user.ts'
import { type HostileRow, judgeRows, onBusybox } from '../support/hostile-table.ts'
import { useOracle } from '../support/use-oracle.ts'

/** The token of the canaries as a secret, which is what the oracle looks for everywhere. */
const given = { flags: ['--secret', 'id=t,env=CANARY_TOKEN'] }
const shows = (...output: readonly string[]) => ({ wants: { output } })
const secret = (more = '') => `--mount=type=secret,id=t${more}`
const all = 'cat /run/secrets/t'

const uses: readonly HostileRow[] = [
  [
    'SEC-01: as a file',
    () => ({ ...given, ...onBusybox(`RUN ${secret()} wc -c < /run/secrets/t`), ...shows('64') }),
  ],
  [
    'SEC-01: as a variable',
    () => ({
      ...given,
      ...onBusybox(`RUN ${secret(',env=T')} echo \${#T}`, 'RUN echo ${#T}'),
      ...shows('64', '0'),
    }),
  ],
  [
    'SEC-01: with target, mode and owner, over a file of the image',
    () => ({
      ...given,
      ...onBusybox(
        'RUN echo image > /etc/key',
        `RUN ${secret(',target=/etc/key,mode=0440,uid=1000,gid=50')} stat -c '%a %u:%g' /etc/key; chmod 600 /etc/key; echo x 2>/dev/null >> /etc/key; mv /etc/key /kept 2>/dev/null; ln /etc/key /kept 2>/dev/null; true`,
        'RUN cat /etc/key && test ! -e /kept',
      ),
      ...shows('440 1000:50', 'image'),
    }),
  ],
  [
    'SEC-01: in two steps',
    () => ({
      ...given,
      ...onBusybox(
        `RUN ${secret()} test -s /run/secrets/t`,
        `RUN ${secret()} test -s /run/secrets/t`,
        'RUN ls -A /run 2>/dev/null | wc -l',
      ),
      ...shows('0'),
    }),
  ],
  [
    'SEC-01: required and missing',
    () => ({ ...onBusybox(`RUN ${secret(',required')} true`), wants: { code: 'ERR_SECRET', line: 2 } }),
  ],
  [
    'SEC-01: empty',
    () => ({
      flags: ['--secret', 'id=t,env=EMPTY'],
      environment: { EMPTY: '' },
      ...onBusybox(`RUN ${secret(',env=T')} echo "[$T]"`),
      ...shows('[]'),
    }),
  ],
  [
    'SEC-01: printed to both streams',
    () => ({
      ...given,
      ...onBusybox(`RUN ${secret(',env=T')} echo "$T"; echo "$T" >&2; echo "a$T-$T."`),
      ...shows('***', 'a***-***.'),
    }),
  ],
  [
    'SEC-01: a step that fails after it has copied the secret to a tmpfs and its own memory',
    () => ({
      ...given,
      ...onBusybox(
        `RUN ${secret()} --mount=type=tmpfs,target=/ram ${all} | tee /ram/copy > /dev/shm/copy; cat /ram/copy; touch /half; exit 3`,
      ),
      wants: { code: 'ERR_STEP_FAILED', line: 2 },
    }),
  ],
  [
    'SEC-01: a step that is ended by its time',
    () => ({
      flags: [...given.flags, '--step-timeout', '1s'],
      ...onBusybox(`RUN ${secret(',env=T')} ${all}; while true; do sleep 1; done`),
      wants: { code: 'ERR_TIMEOUT', line: 2 },
    }),
  ],
  [
    'SEC-01: a file of the user that only the flag names',
    ({ ownFile }) => ({
      flags: ['--secret', `id=t,src=${ownFile}`],
      ...onBusybox(
        `RUN ${secret()} wc -c < /run/secrets/t; ls ${ownFile} 2>/dev/null; cat /proc/self/mountinfo | grep -c own-file; true`,
      ),
      ...shows('65', '0'),
    }),
  ],
]

const choices: readonly HostileRow[] = [
  ...['../../../../etc/shadow', '/etc/shadow', '..'].map(
    (id): HostileRow => [
      `SEC-04: id=${id}`,
      () => ({
        ...onBusybox(`RUN --mount=type=secret,required,id=${id},target=/s true`),
        wants: { code: 'ERR_SECRET', line: 2 },
      }),
    ],
  ),
  ...['/proc/self/mem', '/proc', '/sys/x', '/dev/null', '/../proc/1/environ'].map(
    (target): HostileRow => [
      `SEC-04: target=${target}`,
      () => ({
        ...given,
        ...onBusybox(`RUN ${secret(`,target=${target}`)} true`),
        wants: { code: 'ERR_MOUNT_TARGET_RESERVED', line: 2 },
      }),
    ],
  ),
  [
    'SEC-04: the variable of the loader is that of the step',
    () => ({
      ...given,
      ...onBusybox(`RUN ${secret(',env=LD_PRELOAD')} echo \${#LD_PRELOAD}`),
      ...shows('64'),
    }),
  ],
  [
    'SEC-04: a secret with a target below a symlink of the image to the host',
    ({ tree }) => ({
      ...given,
      ...onBusybox(`RUN ln -s ${tree} /lnk`, `RUN ${secret(',target=/lnk/new')} wc -c < /lnk/new`),
      ...shows('64'),
    }),
  ],
  [
    'SEC-07: no core is written by a step',
    () => ({
      ...given,
      ...onBusybox(
        `RUN ${secret(',env=T')} ulimit -c; ulimit -c unlimited 2>/dev/null; sh -c 'kill -SEGV $$'; ls /core* 2>/dev/null; true`,
      ),
      ...shows('0'),
    }),
  ],
  [
    'SEC-08: a proxy of the environment with a password',
    ({ token }) => {
      const proxy = `http://u:${token}@127.0.0.1:1`
      return {
        environment: { HTTP_PROXY: proxy, https_proxy: proxy },
        ...onBusybox('RUN env | grep -ic proxy; true'),
        ...shows('0'),
      }
    },
  ],
  [
    'SEC-08: a registry of which the credentials are known',
    () => ({
      dockerfile: ['FROM registry.invalid/x:1', 'RUN cat /root/.docker/config.json'],
      wants: { code: 'ERR_REGISTRY_UNREACHABLE', line: 1 },
    }),
  ],
]

/** @see spec/security.md section 3.8 */
describe.each(userNames)('secrets, as %s', (userName) => {
  judgeRows(useOracle(userName, 'secrets'), [...uses, ...choices])
})
