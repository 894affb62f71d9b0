// What is measured within one process of ours, as no command does only that.
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { commandLine } from './measure.mjs'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

/** Bundles parse.ts as the command is bundled, and writes the Dockerfile that it is to read. */
export async function prepareParse(bench, lines) {
  if (!bench.builder.isOurs) return
  writeFileSync(join(bench.context, 'Dockerfile'), `${lines.join('\n')}\n`)
  await build({
    entryPoints: [here('parse.ts')],
    outfile: join(bench.folder, 'parse.cjs'),
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    alias: Object.fromEntries(
      readdirSync(here('../libs')).map((lib) => [`@tsbuild/${lib}`, here(`../libs/${lib}/src/index.ts`)]),
    ),
    logLevel: 'error',
  })
}

/** The command that measures; undefined for other builders. @param kind `parse` or `graph` */
export function measureParse(bench, kind) {
  if (!bench.builder.isOurs) return undefined
  return [
    commandLine(process.execPath, [join(bench.folder, 'parse.cjs'), kind, join(bench.context, 'Dockerfile')]),
  ]
}

/** The seconds that such a command printed. */
export const printedSeconds = (output) => JSON.parse(output).seconds
