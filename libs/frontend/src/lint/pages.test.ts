import { readdirSync, readFileSync } from 'node:fs'
import { digestBytes } from '@tsbuild/digest'
import { type LintRuleName, lintPage, lintRules, parseDockerfile } from '@tsbuild/dockerfile'
import { describe, expect, it } from 'vitest'
import { checkDockerfile } from '../calls/check.ts'
import { contextOf } from '../testing/convert-text.ts'
import type { ImageResolver } from '../types.ts'

const folder = new URL('../../../../docs/reference/lint/', import.meta.url)
const names = Object.keys(lintRules) as LintRuleName[]
const read = (name: string) => readFileSync(new URL(`${name}.md`, folder), 'utf8')

/** A block of a page: its Dockerfile, and what the words behind its mark say about the build. */
interface Example {
  readonly text: string
  readonly buildArgs: Readonly<Record<string, string>>
  readonly hidden: readonly string[]
}

function example(page: string, mark: 'bad' | 'good'): Example {
  const found = new RegExp(`^\`\`\`dockerfile ${mark}(.*)\\n([^]*?)^\`\`\`$`, 'm').exec(page)
  const words = (found?.[1] ?? '').trim().split(/\s+/)
  const valuesOf = (key: string) =>
    words.flatMap((word) => (word.startsWith(`${key}=`) ? [word.slice(key.length + 1)] : []))
  return {
    text: found?.[2] ?? '',
    buildArgs: Object.fromEntries(
      valuesOf('build-arg').map((arg) => [arg.split('=', 1)[0] ?? '', arg.slice(arg.indexOf('=') + 1)]),
    ),
    hidden: valuesOf('hidden'),
  }
}

/** Every image exists; those of arm64v8 are for that platform only. */
const resolveImage: ImageResolver = async (name, platform) => {
  const own = name.startsWith('arm64v8/') ? { os: 'linux', architecture: 'arm64' } : platform
  const config = { platform: own, config: {}, diffIds: [], history: [] }
  return { reference: `docker.io/library/${name}`, manifest: digestBytes(name), layers: [], config }
}

async function rulesOf({ text, buildArgs, hidden }: Example): Promise<readonly string[]> {
  const platform = { os: 'linux', architecture: 'amd64' }
  const { warnings } = await checkDockerfile({
    dockerfile: parseDockerfile(text, 'Dockerfile'),
    target: undefined,
    buildArgs,
    labels: {},
    platform,
    buildPlatform: platform,
    isOneOfSeveral: false,
    noCache: false,
    network: 'default',
    extraHosts: [],
    allow: [],
    ulimits: [],
    shmSizeBytes: undefined,
    cgroupParent: undefined,
    namedContexts: new Map(),
    context: contextOf({ hiddenBy: async (path) => (hidden.includes(path) ? '.dockerignore:1' : undefined) }),
    resolveImage,
    warn: () => {},
  })
  return warnings.map(({ rule }) => rule)
}

describe('docs/reference/lint', () => {
  it('has a page for each rule, and a rule for each page', () => {
    const pages = readdirSync(folder).flatMap((name) => (name === 'README.md' ? [] : [name]))
    expect(pages.toSorted()).toEqual(names.map((name) => `${name}.md`).toSorted())
    expect(names.map(lintPage)).toEqual(names.map((name) => `docs/reference/lint/${name}.md`))
  })

  it('has the 22 rules of BuildKit (spec/dockerfile.md 1.8), and our own', () => {
    expect(names.filter((name) => !lintRules[name].own)).toHaveLength(22)
    expect(names.filter((name) => lintRules[name].own)).toHaveLength(6)
  })

  it.each(names)(
    '%s.md shows a bad example with exactly this finding, and a good one with none',
    async (name) => {
      const page = read(name)
      expect(page).toMatch(new RegExp(`^# ${name}\\n`))
      expect(new Set(await rulesOf(example(page, 'bad')))).toEqual(new Set([name]))
      expect(await rulesOf(example(page, 'good'))).toEqual([])
      expect(example(page, 'good').text).not.toBe('')
    },
  )

  it.each(names)('%s.md says how to silence it, and that does', async (name) => {
    const page = read(name)
    const { experimental } = lintRules[name]
    expect(page.split('## Silence it')[1]).toContain(`${experimental ? 'experimental' : 'skip'}=${name}`)
    const bad = example(page, 'bad')
    const check = experimental ? '' : `skip=${name}`
    const buildArgs = { ...bad.buildArgs, BUILDKIT_DOCKERFILE_CHECK: check }
    expect(await rulesOf({ ...bad, buildArgs })).toEqual([])
  })
})
