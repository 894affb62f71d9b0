import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startDockerd } from '../../support/dockerd.ts'
import type { Case, MadeCase } from '../support/case.ts'
import { type Image, readImage } from '../support/read-image.ts'

/** Another builder of the same Dockerfiles. */
export interface Peer {
  readonly name: 'buildah' | 'docker'
  /** Takes an image out of a `docker save` archive, under the name that is in it. */
  readonly load: (archive: string) => Promise<void>
  /** Builds a case without a cache and without the network. @throws PeerFailure */
  readonly build: (one: Case, made: MadeCase) => Promise<Image>
  readonly stop: () => Promise<void>
}

/** A build that the peer refused; the message is the line that says why. */
export class PeerFailure extends Error {}

/** A step takes no longer than this, whatever it waits for. */
const timeoutMs = 120_000

/** Debian's buildah with runc, over a storage of its own in `folder`. */
export async function openBuildah(folder: string): Promise<Peer> {
  mkdirSync(folder, { recursive: true })
  const storage = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run')]
  const buildah = (...args: string[]) =>
    execute('buildah', [...storage, '--storage-driver', 'overlay', ...args])
  let count = 0
  return {
    name: 'buildah',
    load: async (archive) => {
      await buildah('pull', `docker-archive:${archive}`)
    },
    build: async (one, made) => {
      const tag = `case-${count++}`
      const archive = join(folder, `${tag}.tar`)
      const flags = [
        '--isolation',
        'oci',
        '--runtime',
        'runc',
        '--network',
        'none',
        '--pull-never',
        '--no-cache',
      ]
      await buildah('bud', ...flags, '--format', 'docker', ...flagsOf(one, made), '-t', tag, made.context)
      await buildah('push', '--disable-compression', tag, `docker-archive:${archive}`)
      const image = readImage(readFileSync(archive))
      rmSync(archive)
      return image
    },
    stop: async () => {
      await buildah('rm', '--all').catch(() => {})
      await buildah('rmi', '--all', '--force').catch(() => {})
      // The storage mounts its own folder; what a build left mounted goes with it.
      await execute('umount', ['--lazy', join(folder, 'root', 'overlay')]).catch(() => {})
    },
  }
}

/** BuildKit as it is in Debian's dockerd, on a daemon of its own in `folder`. */
export async function openDocker(folder: string): Promise<Peer> {
  const daemon = await startDockerd(folder)
  const host = ['--host', `unix://${join(folder, 'socket')}`]
  // Debian's own client: one that is newer may not speak to Debian's daemon.
  const docker = (...args: string[]) => execute('/usr/bin/docker', [...host, ...args])
  let count = 0
  return {
    name: 'docker',
    load: async (archive) => {
      await docker('load', '--input', archive)
    },
    build: async (one, made) => {
      const tag = `case-${count++}`
      const archive = join(folder, `${tag}.tar`)
      const flags = ['--network', 'none', '--no-cache', '--progress', 'plain']
      await docker('build', ...flags, ...flagsOf(one, made), '-t', tag, made.context)
      await docker('save', '--output', archive, tag)
      const image = readImage(readFileSync(archive))
      rmSync(archive)
      return image
    },
    stop: daemon.stop,
  }
}

function flagsOf(one: Case, made: MadeCase): readonly string[] {
  const pairs = (flag: string, values: Readonly<Record<string, string>> = {}) =>
    Object.entries(values).flatMap(([name, value]) => [flag, `${name}=${value}`])
  return [
    ...(made.dockerfile === undefined ? [] : ['-f', made.dockerfile]),
    ...(one.args.target === undefined ? [] : ['--target', one.args.target]),
    ...pairs('--build-arg', one.args.buildArgs),
    ...pairs('--label', one.args.labels),
    ...pairs('--build-context', made.buildContexts),
    ...Object.entries(made.secrets).flatMap(([id, path]) => ['--secret', `id=${id},src=${path}`]),
  ]
}

let madeHome: string | undefined

/** A home of this run alone: docker writes into it. */
function home(): string {
  if (madeHome === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'tsbuild-peers-home-'))
    process.on('exit', () => rmSync(made, { recursive: true, force: true }))
    madeHome = made
  }
  return madeHome
}

function execute(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const env = { PATH: process.env.PATH, HOME: home(), DOCKER_BUILDKIT: '1' }
    const options = { env, timeout: timeoutMs, maxBuffer: 64 * 1024 * 1024 }
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else if (error.killed) reject(new PeerFailure(`no end after ${timeoutMs / 1000} s`))
      else reject(new PeerFailure(reasonOf(stderr) || error.message))
    })
  })
}

/** The last line that is a message; without what is different in every run. */
function reasonOf(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => /error|failed|unknown|invalid/i.test(line))
  return (lines.at(-1) ?? '')
    .replace(/\/var\/(lib|tmp)\/\S*?(merged|rootfs|context|mount\d+)/g, '…')
    .replace(/[0-9a-z]{25,64}/g, '…')
    .trim()
}
