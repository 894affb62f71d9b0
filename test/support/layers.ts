import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

/** One workspace project as its package.json, tsconfig.json and sources describe it. */
export interface Project {
  readonly name: string
  /** Relative to the repository. */
  readonly folder: string
  readonly layer: number
  readonly dependencies: readonly string[]
  /** Folder names of the tsconfig references: `errors`, `digest`. */
  readonly references: readonly string[]
  readonly imports: readonly Import[]
}

/** One import, export-from or dynamic import of a TypeScript file. */
export interface Import {
  /** Relative to the repository, with its line: `libs/oci/src/config.ts:3`. */
  readonly at: string
  readonly specifier: string
  readonly isTest: boolean
}

/**
 * Matches `from '…'`, `import '…'`, `import('…')` and `require('…')`: what can bring a module in. Text in a comment may
 * match too, which errs on the strict side.
 */
const importPattern = /(?:\bfrom\s+|\bimport\s*\(?\s*|\brequire\(\s*)(['"])([\w@./:-]+)\1/g

/** Reads every project of `libs/` and `apps/` below `root`. */
export function readProjects(root: string): readonly Project[] {
  return ['libs', 'apps'].flatMap((group) =>
    readdirSync(join(root, group), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => readProject(root, join(group, entry.name))),
  )
}

function readProject(root: string, folder: string): Project {
  const manifest = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
  const config = JSON.parse(readFileSync(join(root, folder, 'tsconfig.json'), 'utf8'))
  const tag: string | undefined = manifest.nx?.tags?.find((text: string) => text.startsWith('layer:'))
  return {
    name: manifest.name,
    folder,
    layer: tag === undefined ? Number.NaN : Number(tag.slice('layer:'.length)),
    dependencies: Object.keys(manifest.dependencies ?? {}),
    references: (config.references ?? []).map((reference: { path: string }) =>
      reference.path.replace(/^.*\//, ''),
    ),
    imports: listSources(join(root, folder)).flatMap((file) => readImports(root, file)),
  }
}

/** What only tests load: they may import vitest and read what lies in test/. */
function isTestFile(file: string): boolean {
  return /\.(test|contract)\.ts$|\/src\/testing\//.test(file)
}

/** TypeScript files below `folder`, without built ones. Absolute paths. */
export function listSources(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) {
      return ['node_modules', 'dist', 'testdata'].includes(entry.name) ? [] : listSources(path)
    }
    return entry.name.endsWith('.ts') ? [path] : []
  })
}

function readImports(root: string, file: string): readonly Import[] {
  const text = readFileSync(file, 'utf8')
  return [...text.matchAll(importPattern)].map((match) => ({
    at: `${relative(root, file)}:${text.slice(0, match.index).split('\n').length}`,
    specifier: match[2] ?? '',
    isTest: isTestFile(file),
  }))
}

/**
 * Everything in which the projects break the layer rule: an arrow that does not go strictly down, an import that
 * package.json does not declare, a relative import that leaves its project, a declared dependency that nothing imports,
 * tsconfig references that differ from the dependencies. One sentence each; empty when all is well.
 */
export function checkLayers(projects: readonly Project[]): readonly string[] {
  const byName = new Map(projects.map((project) => [project.name, project]))
  return projects.flatMap((project) => [
    ...(Number.isNaN(project.layer) ? [`${project.name} has no layer tag`] : []),
    ...checkDependencies(project, byName),
    ...checkImports(project),
    ...checkReferences(project),
  ])
}

function checkDependencies(project: Project, byName: ReadonlyMap<string, Project>): readonly string[] {
  return project.dependencies.flatMap((name) => {
    const used = project.imports.some((one) => packageOf(one.specifier) === name)
    const unused = used ? [] : [`${project.name} declares ${name} and does not import it`]
    const target = byName.get(name)
    if (target === undefined) {
      return name.startsWith('@tsbuild/') ? [`${project.name} depends on the unknown ${name}`] : unused
    }
    if (target.layer < project.layer) return unused
    return [
      `${project.name} (layer ${project.layer}) depends on ${name} (layer ${target.layer}): not strictly down`,
    ]
  })
}

function checkImports(project: Project): readonly string[] {
  return project.imports.flatMap(({ at, specifier, isTest }) => {
    if (specifier.startsWith('node:')) return []
    if (specifier.startsWith('.')) return checkRelative(at, specifier, project)
    if (specifier.includes('/dist/') || specifier.includes('/src/')) {
      return [`${at} imports ${specifier}: past the public interface`]
    }
    const name = packageOf(specifier)
    const allowed =
      project.dependencies.includes(name) ||
      name === project.name ||
      (isTest && ['vitest', 'esbuild'].includes(name))
    return allowed ? [] : [`${at} imports ${specifier}, which ${project.name} does not declare`]
  })
}

function checkRelative(at: string, specifier: string, project: Project): readonly string[] {
  const file = at.replace(/:\d+$/, '')
  const target = join(file, '..', specifier)
  // Golden files and test support lie outside of every project; production code never reads them.
  const shared = target.startsWith('test/') && isTestFile(file)
  if (target.startsWith(`${project.folder}/`) || shared) return []
  return [`${at} imports ${specifier}, outside of ${project.folder}`]
}

function checkReferences(project: Project): readonly string[] {
  const declared = project.dependencies
    .filter((name) => name.startsWith('@tsbuild/'))
    .map((name) => name.slice('@tsbuild/'.length))
  const missing = declared.filter((name) => !project.references.includes(name))
  const extra = project.references.filter((name) => !declared.includes(name))
  return [
    ...missing.map((name) => `${project.folder}/tsconfig.json lacks a reference to ${name}`),
    ...extra.map(
      (name) => `${project.folder}/tsconfig.json refers to ${name}, which package.json does not declare`,
    ),
  ]
}

/** `@tsbuild/oci` of `@tsbuild/oci/x`, `commander` of `commander/esm.mjs`. */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}
