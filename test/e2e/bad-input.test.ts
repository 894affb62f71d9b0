import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { reply, startFakeRegistry } from '@tsbuild/registry/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type ErrorCode, errorCodes } from '../../libs/errors/src/codes.ts'
import { freePort } from '../support/free-port.ts'
import { type RegistryProcess, startRegistry } from '../support/registry-process.ts'
import type { Outcome } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
let registry: RegistryProcess
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('bad')
  registry = await startRegistry(workspace.path('registry'))
})
afterAll(async () => {
  await registry?.stop()
  await workspace?.remove()
})

/** The exit code that a code's row in the table stands for. */
function exitCodeOf(code: ErrorCode): number {
  if (code === 'ERR_USAGE') return 2
  return { user: 1, environment: 3, internal: 70 }[errorCodes[code].kind]
}

function expectError(outcome: Outcome, code: ErrorCode, texts: readonly string[]): void {
  expect(outcome.stderr).toContain(`[${code}]`)
  for (const text of texts) expect(outcome.stderr).toContain(text)
  expect(outcome.stderr).not.toMatch(/^\s+at .*\.js:\d+/m)
  expect(outcome.code).toBe(exitCodeOf(code))
}

/** Starts a registry that answers every request as a test wants. */
async function startAnswering(
  answer: (request: IncomingMessage) => {
    readonly status?: number
    readonly headers?: Readonly<Record<string, string>>
    readonly body: string
  },
) {
  const fake = await startFakeRegistry()
  fake.fault({
    times: Number.POSITIVE_INFINITY,
    act: ({ request, response }) => {
      const { status = 200, headers, body } = answer(request)
      reply(response, status, headers, request.method === 'HEAD' ? undefined : body)
    },
  })
  return fake
}

interface Bad {
  readonly what: string
  readonly dockerfile: readonly string[]
  readonly files?: Readonly<Record<string, string>>
  readonly flags?: readonly string[]
  readonly code: ErrorCode
  /** What standard error must contain. */
  readonly says: readonly string[]
}

const table: readonly Bad[] = [
  {
    what: 'an unknown instruction',
    dockerfile: ['FROM busybox:test', '', 'RUNN echo hi'],
    code: 'ERR_DOCKERFILE_UNKNOWN_INSTRUCTION',
    says: ['RUNN', 'Dockerfile:3', '3 | >>> RUNN echo hi', 'Did you mean `RUN`?'],
  },
  {
    what: 'an unknown flag of an instruction',
    dockerfile: ['FROM busybox:test', 'COPY --chwon=1 a /a'],
    files: { a: '' },
    code: 'ERR_DOCKERFILE_UNKNOWN_FLAG',
    says: ['--chwon', 'Dockerfile:2', '--chown'],
  },
  {
    what: 'an empty Dockerfile',
    dockerfile: ['# nothing'],
    code: 'ERR_DOCKERFILE_EMPTY',
    says: [],
  },
  {
    what: 'a malformed expansion',
    dockerfile: ['FROM busybox:test', 'ENV A="${B:?must be set}"'],
    code: 'ERR_DOCKERFILE_EXPANSION',
    says: ['must be set', 'Dockerfile:2'],
  },
  {
    what: 'a missing COPY source',
    dockerfile: ['FROM busybox:test', 'COPY missing.txt /'],
    code: 'ERR_COPY_SOURCE_NOT_FOUND',
    says: ['missing.txt', 'Dockerfile:2'],
  },
  {
    what: 'a COPY source that .dockerignore hides',
    dockerfile: ['FROM busybox:test', 'COPY secret.log /'],
    files: { 'secret.log': 'x', '.dockerignore': '# comment\nnode_modules\n*.log\n' },
    code: 'ERR_COPY_SOURCE_NOT_FOUND',
    says: ['secret.log', '.dockerignore:3', '*.log'],
  },
  {
    what: 'a COPY source above the context',
    dockerfile: ['FROM busybox:test', 'COPY ../../../../../../etc/shadow /shadow'],
    code: 'ERR_COPY_SOURCE_NOT_FOUND',
    says: ['Dockerfile:2'],
  },
  {
    what: 'an unknown stage as target',
    dockerfile: ['FROM busybox:test AS build', 'RUN true'],
    flags: ['--target', 'biuld'],
    code: 'ERR_DOCKERFILE_STAGE_NOT_FOUND',
    says: ['biuld', 'build'],
  },
  {
    what: 'a COPY --from a later stage',
    dockerfile: ['FROM busybox:test AS a', 'COPY --from=1 /x /x', 'FROM busybox:test AS b'],
    flags: ['--target', 'a'],
    code: 'ERR_DOCKERFILE_STAGE_NOT_FOUND',
    says: ['Dockerfile:2', 'needs to be defined before'],
  },
  {
    what: 'stages that copy from one another',
    dockerfile: [
      'FROM busybox:test AS a',
      'COPY --from=b /x /x',
      'FROM busybox:test AS b',
      'COPY --from=a /x /x',
    ],
    code: 'ERR_DOCKERFILE_CYCLE',
    says: ['circular dependency'],
  },
  {
    what: 'a stage that copies from itself',
    dockerfile: ['FROM busybox:test AS a', 'COPY --from=a /x /x'],
    code: 'ERR_DOCKERFILE_CYCLE',
    says: ['Dockerfile:2'],
  },
  {
    what: 'an unknown flag',
    dockerfile: ['FROM busybox:test'],
    flags: ['--no-cahce'],
    code: 'ERR_USAGE',
    says: ['--no-cahce', '--no-cache'],
  },
  {
    what: 'a malformed image name',
    dockerfile: ['FROM busybox:test'],
    flags: ['-t', 'Upper/Case:1.0'],
    code: 'ERR_USAGE',
    says: ['--tag "Upper/Case:1.0"'],
  },
  {
    what: 'a malformed mode',
    dockerfile: ['FROM busybox:test', 'COPY --chmod=999 a /a'],
    files: { a: '' },
    code: 'ERR_MODE_INVALID',
    says: ['999', 'Dockerfile:2'],
  },
  {
    what: 'a user that the image does not have',
    dockerfile: ['FROM busybox:test', 'COPY --chown=nobody-here a /a'],
    files: { a: '' },
    code: 'ERR_USER_NOT_FOUND',
    says: ['nobody-here', 'Dockerfile:2'],
  },
  {
    what: 'a failing RUN',
    dockerfile: ['FROM busybox:test', 'RUN echo before the end; echo why it failed >&2; exit 42'],
    code: 'ERR_STEP_FAILED',
    says: ['42', 'why it failed', 'Dockerfile:2', '2 | >>> RUN echo'],
  },
  {
    what: 'a program that is not there',
    dockerfile: ['FROM busybox:test', 'RUN ["/bin/not-there"]'],
    code: 'ERR_STEP_FAILED',
    says: ['/bin/not-there', 'Dockerfile:2'],
  },
  {
    what: 'a platform that is not Linux',
    dockerfile: ['FROM busybox:test', 'RUN true'],
    flags: ['--platform', 'windows/amd64'],
    code: 'ERR_PLATFORM_INVALID',
    says: ['windows/amd64'],
  },
  {
    what: 'an output that cannot be written',
    dockerfile: ['FROM busybox:test'],
    flags: ['-o', 'type=oci,dest=/proc/no/such/folder.tar'],
    code: 'ERR_OUTPUT',
    says: ['/proc/no/such/folder.tar'],
  },
]

describe('bad input', () => {
  let number = 0
  const build = (bad: Pick<Bad, 'dockerfile' | 'files' | 'flags'>) => {
    number += 1
    const context = workspace.context(`bad-${number}`, {
      Dockerfile: `${bad.dockerfile.join('\n')}\n`,
      ...bad.files,
    })
    return workspace.tsbuild.run(['--progress', 'plain', ...(bad.flags ?? []), context])
  }

  /** An intact store: nothing half-written is left, and it builds. */
  afterEach(async () => {
    expect(readdirSync(workspace.path('store/v1/ingest'))).toEqual([])
    const context = workspace.context('good', { Dockerfile: 'FROM busybox:test\nRUN echo fine\n' })
    await workspace.tsbuild.check(['-q', '-t', 'fine:1.0', context])
  })

  it.each(table.map((bad) => [bad.what, bad] as const))('%s gets its error', async (_what, bad) => {
    expectError(await build(bad), bad.code, bad.says)
  })

  it('a context that is not there gets its error', async () => {
    const outcome = await workspace.tsbuild.run([workspace.path('no-such-context')])
    expectError(outcome, 'ERR_CONTEXT_NOT_FOUND', ['no-such-context'])
  })

  it('a context without a Dockerfile gets its error', async () => {
    const outcome = await workspace.tsbuild.run([workspace.context('bare', { file: '' })])
    expectError(outcome, 'ERR_DOCKERFILE_NOT_FOUND', ['Dockerfile'])
  })

  it('an image that its registry does not have gets its error', async () => {
    const outcome = await build({ dockerfile: [`FROM ${registry.host}/nothing:here`, 'RUN true'] })
    expectError(outcome, 'ERR_IMAGE_NOT_FOUND', [`${registry.host}/nothing:here`, 'Dockerfile:1'])
  })

  it('a registry that is down gets its error', async () => {
    const host = `127.0.0.1:${await freePort()}`
    const outcome = await build({ dockerfile: [`FROM ${host}/app:1.0`, 'RUN true'] })
    expectError(outcome, 'ERR_REGISTRY_UNREACHABLE', [host, 'Dockerfile:1'])
  })

  it('a registry that answers nonsense gets its error', async () => {
    const fake = await startAnswering(() => ({
      headers: { 'content-type': 'text/html' },
      body: '<h1>Welcome!</h1>',
    }))
    try {
      const outcome = await build({ dockerfile: [`FROM ${fake.host}/app:1.0`, 'RUN true'] })
      expectError(outcome, 'ERR_REGISTRY_RESPONSE', [fake.host])
    } finally {
      await fake.stop()
    }
  })

  it('a manifest that is no manifest gets its error', async () => {
    const type = 'application/vnd.oci.image.manifest.v1+json'
    const fake = await startAnswering(() => ({
      headers: { 'content-type': type },
      body: '{"schemaVersion":2,"layers":7}',
    }))
    try {
      const outcome = await build({ dockerfile: [`FROM ${fake.host}/app:1.0`, 'RUN true'] })
      expectError(outcome, 'ERR_MANIFEST_INVALID', [])
    } finally {
      await fake.stop()
    }
  })

  it('a registry that says 500 gets its error', async () => {
    const fake = await startAnswering(() => ({ status: 500, body: 'out of order' }))
    try {
      const outcome = await build({ dockerfile: [`FROM ${fake.host}/app:1.0`, 'RUN true'] })
      expectError(outcome, 'ERR_REGISTRY_STATUS', ['500'])
    } finally {
      await fake.stop()
    }
  })

  it('a config with other bytes than its digest gets its error', async () => {
    const sha256 = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`
    const config = '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: {
        mediaType: 'application/vnd.oci.image.config.v1+json',
        digest: sha256(config),
        size: config.length,
      },
      layers: [],
    })
    const fake = await startAnswering((request) =>
      request.url?.includes('/manifests/')
        ? { headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }, body: manifest }
        : { body: request.url?.includes('/blobs/') ? config.replace('linux', 'linus') : '' },
    )
    try {
      const outcome = await build({
        dockerfile: [`FROM ${fake.host}/app:1.0`, 'COPY x /x'],
        files: { x: '' },
      })
      expectError(outcome, 'ERR_DIGEST_MISMATCH', [])
    } finally {
      await fake.stop()
    }
  })

  it('a manifest with another digest than the Dockerfile pins gets its error', async () => {
    const body = '{"schemaVersion":2}'
    const fake = await startAnswering(() => ({
      headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
      body,
    }))
    try {
      const pinned = `sha256:${'ab'.repeat(32)}`
      const outcome = await build({ dockerfile: [`FROM ${fake.host}/app@${pinned}`, 'RUN true'] })
      expectError(outcome, 'ERR_DIGEST_MISMATCH', [pinned])
    } finally {
      await fake.stop()
    }
  })
})
