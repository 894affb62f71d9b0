import { didYouMean } from '@tsbuild/errors'
import type { ArgInstruction, Dockerfile } from '../instruction.ts'
import { isPredefinedArg } from '../predefined-args.ts'
import type { Finding, Rule } from './finding.ts'
import { argumentRange } from './places.ts'
import { isSecretValue, looksSecret } from './secrets.ts'

function argsOf({ instructions }: Dockerfile): readonly ArgInstruction[] {
  return instructions.filter((instruction): instruction is ArgInstruction => instruction.kind === 'arg')
}

/**
 * BuildKit ignores them silently; a mistyped name is worth a word. What the file declares anywhere counts, reachable or not: an
 * argument of another target is not mistyped.
 *
 * @see spec/cache.md 8.1
 */
const unusedBuildArg: Rule = {
  name: 'UnusedBuildArg',
  find({ dockerfile, buildArgs, declaredElsewhere }) {
    const written = argsOf(dockerfile).flatMap(({ args }) => args.map(({ name }) => name))
    const declared = new Set([...written, ...declaredElsewhere])
    return Object.keys(buildArgs)
      .filter((name) => !declared.has(name) && !isPredefinedArg(name))
      .map((name) => {
        const hint = didYouMean(name.slice(0, 128), declared).join(' ')
        const message = `The build argument "${name}" is not declared by any ARG${hint === '' ? '' : `. ${hint}`}`
        return { instruction: null, message }
      })
  },
}

/** The value itself is in no message: warnings go into logs. */
const secretInBuildArg: Rule = {
  name: 'SecretInBuildArg',
  find: ({ dockerfile, buildArgs }) =>
    argsOf(dockerfile).flatMap((instruction) =>
      instruction.args.flatMap(({ name }, index): readonly Finding[] => {
        const value = Object.hasOwn(buildArgs, name) ? (buildArgs[name] ?? '') : ''
        if (value === '' || !(looksSecret(name) || isSecretValue(value))) return []
        const reason = looksSecret(name) ? 'has the name of a secret' : 'has the form of a secret'
        const message = `The value given for build argument "${name}" ${reason}, and the history of the image keeps it. Give it with --secret and RUN --mount=type=secret`
        return [{ instruction, message, source: argumentRange(dockerfile, instruction, index) }]
      }),
    ),
}

/** The rules about `--build-arg`. */
export const buildArgRules: readonly Rule[] = [unusedBuildArg, secretInBuildArg]
