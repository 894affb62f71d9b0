// Makes one file of a program, for the build.js of each app.
import { readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { libSources } from './lib-sources.mjs'

/**
 * Bundles src/entry.ts of an app as dist/bundle/NAME.cjs, without what was there before.
 *
 * @param app the app's folder, as the URL of a file in it
 * @param name of the program
 * @param versionConstant what stands in the sources for the version of package.json
 * @param options what esbuild is told besides; `external` are packages with native parts, which stay as npm put them
 */
export async function bundleProgram({ app, name, versionConstant, options }) {
  const here = (path) => fileURLToPath(new URL(path, app))
  const { version } = JSON.parse(readFileSync(here('package.json'), 'utf8'))
  rmSync(here('dist/bundle'), { recursive: true, force: true })
  await build({
    entryPoints: { [name]: here('src/entry.ts') },
    outdir: here('dist/bundle'),
    outExtension: { '.js': '.cjs' },
    bundle: true,
    // One file: it can be copied by itself, what is imported dynamically is still evaluated only then, and one file is
    // found and read faster than many.
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    // Names stay: they are in stacks and in `error.name`.
    minifyWhitespace: true,
    minifySyntax: true,
    sourcemap: 'external',
    sourcesContent: false,
    // The sources, so that the bundle is never older than they are.
    alias: Object.fromEntries(libSources()),
    define: { [versionConstant]: JSON.stringify(version), 'import.meta.url': 'bundleUrl' },
    banner: { js: "const bundleUrl=require('node:url').pathToFileURL(__filename).href;" },
    logLevel: 'warning',
    ...options,
  })
}
