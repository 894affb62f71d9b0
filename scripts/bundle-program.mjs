// Makes the bundle of a program, for the build.js of each app.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build, transform } from 'esbuild'
import { libSources } from './lib-sources.mjs'

const bundleUrl = "const bundleUrl=require('node:url').pathToFileURL(__filename).href;"

const forNode = { platform: 'node', target: 'node20', sourcesContent: false }
/** Names stay: they are in stacks and in `error.name`. */
const minified = { minifyWhitespace: true, minifySyntax: true, sourcemap: 'external' }

/**
 * Bundles src/entry.ts of an app as dist/bundle/NAME.cjs, without what was there before. One file: it can be copied by itself, and
 * what is imported dynamically is still evaluated only then.
 *
 * @param app the app's folder, as the URL of a file in it
 * @param name of the program
 * @param versionConstant what stands in the sources for the version of package.json
 * @param options what esbuild is told besides; `external` are packages with native parts, which stay as npm put them
 */
export async function bundleProgram(program) {
  await build({ ...bundleOptions(program), ...minified, format: 'cjs', banner: { js: bundleUrl } })
}

/**
 * Bundles it as CommonJS chunks, so that a command reads and evaluates what it runs. esbuild splits ES modules only; they
 * become CommonJS afterwards, for Node's loader of ES modules alone takes longer to start than all of a command.
 *
 * @param program as of {@link bundleProgram}
 * @param entries further chunks by name, which are loaded by `require('./NAME.cjs')`
 */
export async function bundleChunks({ entries, ...program }) {
  const options = bundleOptions(program)
  const { outputFiles } = await build({
    ...options,
    entryPoints: { ...options.entryPoints, ...entries },
    format: 'esm',
    splitting: true,
    sourcemap: 'inline',
    write: false,
  })
  mkdirSync(options.outdir, { recursive: true })
  await Promise.all(outputFiles.map(writeCommonJs))
}

async function writeCommonJs({ path, text }) {
  const { code, map } = await transform(text, {
    ...forNode,
    ...minified,
    format: 'cjs',
    // What is imported dynamically comes by `require` too.
    supported: { 'dynamic-import': false },
    banner: /\bbundleUrl\b/.test(text) ? bundleUrl : '',
  })
  writeFileSync(path, code)
  writeFileSync(`${path}.map`, map)
}

function bundleOptions({ app, name, versionConstant, options }) {
  const here = (path) => fileURLToPath(new URL(path, app))
  const { version } = JSON.parse(readFileSync(here('package.json'), 'utf8'))
  rmSync(here('dist/bundle'), { recursive: true, force: true })
  return {
    ...forNode,
    entryPoints: { [name]: here('src/entry.ts') },
    outdir: here('dist/bundle'),
    outExtension: { '.js': '.cjs' },
    bundle: true,
    // The sources, so that the bundle is never older than they are.
    alias: Object.fromEntries(libSources()),
    define: { [versionConstant]: JSON.stringify(version), 'import.meta.url': 'bundleUrl' },
    logLevel: 'warning',
    ...options,
  }
}
