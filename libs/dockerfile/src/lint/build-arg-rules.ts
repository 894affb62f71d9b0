import type { ArgInstruction, Dockerfile } from '../instruction.ts'
import type { Finding, Rule } from './finding.ts'
import { argumentRange } from './places.ts'
import { isSecretValue, looksSecret } from './secrets.ts'

function argsOf({ instructions }: Dockerfile): readonly ArgInstruction[] {
  return instructions.filter((instruction): instruction is ArgInstruction => instruction.kind === 'arg')
}

/** A secret given with `--build-arg`. The value itself is in no message: warnings go into logs. */
export const secretInBuildArg: Rule = {
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
