// The programs that are compared. Each builds the same Dockerfiles on the same base image, in a store of its own.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { commandLine, runCommand } from './measure.mjs'

const tsbuild = fileURLToPath(new URL('../node_modules/.bin/tsbuild', import.meta.url))

/**
 * Every builder: `prepare` makes its store with `debian:bookworm` out of the docker archive `base`, `build` is the timed
 * command, and the others are what some scenarios need; a builder without one is left out of them.
 */
export function createBuilders(folder) {
  return [ours(join(folder, 'tsbuild')), buildah(join(folder, 'buildah')), ...docker(join(folder, 'docker'))]
}

const buildArguments = (args = {}) =>
  Object.entries(args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`])

function ours(folder) {
  const env = { TSBUILD_ROOT: join(folder, 'store') }
  const run = (...args) => commandLine(tsbuild, args, env)
  return {
    name: 'tsbuild',
    isOurs: true,
    version: () => run('--version'),
    async prepare(base) {
      mkdirSync(folder, { recursive: true })
      await runCommand(run('bootstrap', 'debian:bookworm'))
      await runCommand(
        run('-q', '-t', 'debian:bookworm', '-o', `type=docker,dest=${base.archive}`, base.context),
      )
    },
    build: ({ context, tag, noCache, args }) =>
      run(
        '--progress',
        'plain',
        ...(noCache ? ['--no-cache'] : []),
        ...buildArguments(args),
        '-t',
        tag,
        context,
      ),
    // What makes the layers, so that only the output is left to do.
    buildOnly: ({ context, args }) =>
      run('--progress', 'plain', ...buildArguments(args), '-o', 'type=cacheonly', context),
    buildToArchive: ({ context, tag, args, dest }) => [
      run('--progress', 'plain', ...buildArguments(args), '-t', tag, '-o', `type=oci,dest=${dest}`, context),
    ],
    push: ({ context, tag, args }) => [
      run('--progress', 'plain', ...buildArguments(args), '-t', tag, '--push', context),
    ],
    forget: () => commandLine('rm', ['-rf', env.TSBUILD_ROOT]),
  }
}

function buildah(folder) {
  const storage = [
    '--root',
    join(folder, 'root'),
    '--runroot',
    join(folder, 'run'),
    '--storage-driver',
    'overlay',
  ]
  const run = (...args) => commandLine('buildah', [...storage, ...args])
  const bud = ({ context, tag, noCache, args }) =>
    run(
      ...['bud', '--layers', '--isolation', 'oci', '--runtime', 'runc', '--network', 'host', '--pull-never'],
      ...(noCache ? ['--no-cache'] : []),
      ...[...buildArguments(args), '-t', tag, context],
    )
  const noTls = '--tls-verify=false'
  return {
    name: 'buildah + runc',
    version: () => run('--version'),
    async prepare(base) {
      mkdirSync(folder, { recursive: true })
      await runCommand(run('pull', `docker-archive:${base.archive}`))
    },
    build: bud,
    buildOnly: bud,
    buildToArchive: (request) => [bud(request), run('push', request.tag, `oci-archive:${request.dest}`)],
    push: (request) => [bud(request), run('push', noTls, request.tag, `docker://${request.tag}`)],
    buildFromRegistry: ({ context, tag }) =>
      run(
        ...[
          'bud',
          '--layers',
          '--isolation',
          'oci',
          '--runtime',
          'runc',
          '--network',
          'host',
          '--pull-always',
          noTls,
        ],
        ...['-t', tag, context],
      ),
    forget: () => run('rmi', '--all', '--force'),
  }
}

/** Docker's classic builder and its embedded BuildKit, on one daemon that runs while the benchmark does. */
function docker(folder) {
  const socket = `unix://${join(folder, 'socket')}`
  // Debian's client: newer ones have no classic builder and want buildx for the other.
  const client = '/usr/bin/docker'
  let daemon
  async function startDaemon() {
    if (daemon !== undefined) return
    if (!existsSync(client)) throw new Error('docker.io is not installed')
    mkdirSync(folder, { recursive: true })
    daemon = spawn(
      'dockerd',
      [
        ...[
          '--data-root',
          join(folder, 'data'),
          '--exec-root',
          join(folder, 'exec'),
          '--pidfile',
          join(folder, 'pid'),
        ],
        ...['--host', socket, '--bridge', 'none', '--iptables=false', '--ip6tables=false'],
      ],
      { stdio: 'ignore' },
    )
    for (let attempt = 0; attempt < 300; attempt += 1) {
      const answer = await runCommand(commandLine(client, ['--host', socket, 'version'])).catch(
        () => undefined,
      )
      if (answer !== undefined) return
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    throw new Error('dockerd does not answer')
  }
  const builder = (name, kit) => {
    const run = (...args) => commandLine(client, ['--host', socket, ...args], { DOCKER_BUILDKIT: kit })
    const build = ({ context, tag, noCache, args }) =>
      run(
        'build',
        '--network',
        'host',
        ...(noCache ? ['--no-cache'] : []),
        ...buildArguments(args),
        '-t',
        tag,
        context,
      )
    return {
      name,
      version: () => run('version', '--format', '{{.Server.Version}}'),
      async prepare(base) {
        await startDaemon()
        await runCommand(run('load', '--input', base.archive))
      },
      build,
      buildOnly: build,
      // Docker saves its own form, not compressed.
      buildToArchive: (request) => [build(request), run('save', '--output', request.dest, request.tag)],
      push: (request) => [build(request), run('push', request.tag)],
      buildFromRegistry: ({ context, tag }) =>
        run('build', '--network', 'host', '--pull', '-t', tag, context),
      forget: () =>
        commandLine('sh', ['-c', `"$0" --host ${socket} system prune --all --force >/dev/null`, client]),
      stop: () =>
        new Promise((resolve) => {
          if (daemon === undefined || daemon.exitCode !== null) return resolve()
          daemon.once('exit', resolve)
          daemon.kill('SIGTERM')
          daemon = undefined
        }),
    }
  }
  return [builder('docker classic', '0'), builder('docker BuildKit', '1')]
}
