import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { compareTrees } from '../conformance/layers/compare.ts'
import { type Surveyed, survey } from '../conformance/layers/survey.ts'
import { type User, userNames, userOf } from '../support/builder-user.ts'
import { needs } from '../support/capabilities.ts'
import { startDockerd } from '../support/dockerd.ts'
import {
  below,
  folderOf,
  removeTree,
  runPlainly,
  unpackWithTar,
  unpackWithUmoci,
  writeFidelityContext,
} from '../support/fidelity.ts'
import { fidelityCases } from '../support/fidelity-cases.ts'
import { check, run } from '../support/tsbuild.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'

// The matrix of reliability.md J: every row written by RUN, ADD and COPY, as each user, unpacked by umoci, and by skopeo with GNU
// tar; and images of buildah and of BuildKit unpacked by tsbuild. Everything is compared field by field.

type Files = readonly Surveyed[]

let workspace: Workspace
beforeAll(() => {
  workspace = openWorkspace('fidelity')
})
afterAll(async () => {
  if (workspace !== undefined) await removeTree(workspace.folder)
})

const tools = ['umoci', 'skopeo and GNU tar'] as const
const needsAll = (test: TestContext, user: User) => {
  user.needed(test)
  needs(test, 'root', 'program umoci', 'program skopeo')
}

/** Times that no case sets are those of the build. */
function withoutTimes(files: Files): Files {
  return files.map((file) => ({ ...file, mtimeNs: '0' }))
}

/**
 * What COPY takes of these files: no ACLs, since they name users of the machine, or of the stage, that a file comes from; and
 * for an ordinary user no capabilities of another user namespace, which the kernel does not show there.
 */
function copiedBy(user: User, files: Files): Files {
  const kept = ([name, value]: [string, string]) =>
    !name.startsWith('system.posix_acl_') && (user.name === 'root' || !value.startsWith('01000003'))
  return files.map((file) => ({
    ...file,
    xattrs: Object.fromEntries(Object.entries(file.xattrs).filter(kept)),
  }))
}

/** Builds the context as an image in an OCI layout, under a umask that lets nobody else read anything. */
async function buildLayout(user: User, context: string, folder: string): Promise<string> {
  const [archive, layout] = [join(folder, 'image.tar'), join(folder, 'layout')]
  const line = user.commandLine(['-q', '-t', 'fidelity:case', '-o', `type=oci,dest=${archive}`, context])
  const env = { TSBUILD_ROOT: join(folder, 'store'), HOME: folder }
  const outcome = await run('sh', ['-c', 'umask 077; exec "$@"', 'sh', ...line], { env, cwd: folder })
  if (outcome.code !== 0) throw new Error(outcome.stderr)
  mkdirSync(layout)
  await check('tar', ['-xf', archive, '-C', layout])
  return layout
}

describe.each(userNames)('what %s builds', (name) => {
  const user = userOf(name)
  const cases = fidelityCases.filter((one) => user.name === 'root' || one.root !== true)
  let plain: Files = []
  let tree: Files = []
  const unpacked = new Map<string, Files>()

  beforeAll(async () => {
    if (process.getuid?.() !== 0) return
    const folder = workspace.path(name.replaceAll(' ', '-'))
    const [context, root] = [join(folder, 'context'), join(folder, 'plain')]
    mkdirSync(folder)
    await user.giveTo(folder)
    await writeFidelityContext(context, cases)
    await runPlainly(root, cases)
    const layout = await buildLayout(user, context, folder)
    const places = [
      root,
      join(context, 'tree'),
      await unpackWithUmoci(layout, 'case', join(folder, 'umoci')),
      await unpackWithTar(layout, 'case', join(folder, 'tar')),
    ]
    const [first = [], second = [], third = [], fourth = []] = survey(
      places.map((place) => ({ root: place })),
    )
    plain = first
    tree = second
    unpacked.set('umoci', third).set('skopeo and GNU tar', fourth)
  })

  describe.each(tools)('comes back through %s:', (tool) => {
    it.for(cases.map((one, at) => [one.name, one, at] as const))('%s', ([, { times }, at], test) => {
      needsAll(test, user)
      const [wanted, found] = [plain, unpacked.get(tool) ?? []].map((files) => below(files, folderOf(at)))
      const seen = (files: Files = []) => ({ files: times === true ? files : withoutTimes(files) })
      expect(wanted).not.toEqual([])
      expect(compareTrees(seen(wanted), seen(found))).toBeUndefined()
    })

    it.for(['copy', 'add'])('FS-04 attributes of files taken in by %s', (folder, test) => {
      needsAll(test, user)
      const found = below(unpacked.get(tool) ?? [], folder)
      const wanted = tree.filter(({ path }) => path !== '.')
      expect(tree.filter(({ xattrs }) => Object.keys(xattrs).length > 0).length).toBeGreaterThan(4)
      expect(
        compareTrees({ files: folder === 'copy' ? copiedBy(user, wanted) : wanted }, { files: found }),
      ).toBeUndefined()
    })
  })

  it('FS-01 a file that is called like a whiteout is refused', async (test) => {
    needsAll(test, user)
    const context = workspace.context(`whiteout-${name.replaceAll(' ', '-')}`, {
      Dockerfile: 'FROM scratch\nCOPY . /\n',
      '.wh.file': 'x',
    })
    await user.giveTo(context)
    const folder = workspace.path(name.replaceAll(' ', '-'))
    const env = { TSBUILD_ROOT: join(folder, 'store'), HOME: folder }
    const [program, ...args] = user.commandLine([
      '-t',
      'whiteout',
      '-o',
      `type=oci,dest=${folder}/none.tar`,
      context,
    ])
    const outcome = await run(program, args, { env, cwd: folder })
    expect(outcome.stderr).toContain('[ERR_LAYER_UNREPRESENTABLE]')
    expect(outcome.code).toBe(1)
  })
})

describe('an image of', () => {
  const root = userOf('root')
  // Their storage copies files one by one, ten thousand links at every step.
  const peerCases = fidelityCases.filter(({ name }) => !name.includes('10,000'))

  /** Unpacks the image `case` of a layout with tsbuild and with umoci; gives how the trees differ. */
  async function compareUnpacked(folder: string, layout: string) {
    const context = workspace.context(`${folder}-from`, { Dockerfile: 'FROM image\n' })
    const [archive, ours] = [workspace.path(`${folder}.tar`), workspace.path(`${folder}-ours`)]
    const base = `image=oci-layout://${layout}:case`
    await workspace.tsbuild.check(['-q', '--build-context', base, '-o', `type=tar,dest=${archive}`, context])
    mkdirSync(ours)
    const attributes = ['--xattrs', '--xattrs-include=*', '--numeric-owner']
    await check('tar', [...attributes, '-xpf', archive, '-C', ours])
    const theirs = await unpackWithUmoci(layout, 'case', workspace.path(`${folder}-umoci`))
    const [mine = [], other = []] = survey([{ root: ours }, { root: theirs }])
    expect(mine.length).toBeGreaterThan(300)
    const belowRoot = (files: Files) => ({ files: files.filter(({ path }) => path !== '.') })
    return compareTrees(belowRoot(mine), belowRoot(other))
  }

  it('buildah is unpacked as umoci does', async (test) => {
    needsAll(test, root)
    needs(test, 'program buildah', 'program runc')
    const [context, layout] = [workspace.path('buildah-context'), workspace.path('buildah-layout')]
    await writeFidelityContext(context, peerCases)
    const storage = ['--root', workspace.path('buildah/root'), '--runroot', workspace.path('buildah/run')]
    const buildah = (...args: string[]) => check('buildah', [...storage, '--storage-driver', 'vfs', ...args])
    const isolation = [
      '--isolation',
      'oci',
      '--runtime',
      'runc',
      '--network',
      'none',
      '--cap-add',
      'CAP_MKNOD',
    ]
    await buildah('bud', ...isolation, '--layers', '--format', 'oci', '-t', 'case', context)
    await buildah('push', 'case', `oci:${layout}:case`)
    expect(await compareUnpacked('buildah', layout)).toBeUndefined()
  })

  it("Docker's BuildKit is unpacked as umoci does", async (test) => {
    needsAll(test, root)
    needs(test, 'program dockerd', 'program runc')
    const [context, layout] = [workspace.path('docker-context'), workspace.path('docker-layout')]
    await writeFidelityContext(context, peerCases)
    const daemon = await startDockerd(workspace.path('docker'))
    try {
      const build = ['build', '--network', 'none', '-q', '-t', 'fidelity:case', context]
      await check('/usr/bin/docker', ['--host', `unix://${workspace.path('docker')}/socket`, ...build], {
        env: { DOCKER_BUILDKIT: '1', HOME: workspace.folder },
      })
      const archive = workspace.path('docker.tar')
      await daemon.docker(['save', '--output', archive, 'fidelity:case'])
      await check('skopeo', [
        '--insecure-policy',
        'copy',
        '-q',
        `docker-archive:${archive}`,
        `oci:${layout}:case`,
      ])
    } finally {
      await daemon.stop()
    }
    expect(await compareUnpacked('docker', layout)).toBeUndefined()
  })
})
