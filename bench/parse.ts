// One measurement of the parser in a process of its own. Prints the seconds of one call once everything is loaded: modules, and,
// by a first stage, the functions, which the command has in its code cache. Usage: node parse.cjs parse|graph DOCKERFILE
import { readFileSync } from 'node:fs'
import { decodeText, parseDockerfile } from '../libs/dockerfile/src/index.ts'
import { convertText } from '../libs/frontend/src/testing/convert-text.ts'

const [kind, path = ''] = process.argv.slice(2)
const text = decodeText(readFileSync(path))
const second = text.indexOf('\nFROM')
const firstStage = second === -1 ? 'FROM base\nRUN true\n' : text.slice(0, second)

async function call(dockerfile: string): Promise<number> {
  const startedAt = performance.now()
  if (kind === 'graph') await convertText(dockerfile)
  else parseDockerfile(dockerfile, path)
  return (performance.now() - startedAt) / 1000
}

call(firstStage)
  .then(() => call(text))
  .then(
    (seconds) => console.log(JSON.stringify({ seconds })),
    (error: unknown) => {
      console.error(error)
      process.exitCode = 1
    },
  )
