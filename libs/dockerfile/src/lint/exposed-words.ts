import type { ExposeInstruction } from '../instruction.ts'

/** A word of EXPOSE as written. */
export interface ExposedWord {
  readonly text: string
  /** Before the first `/` outside of substitutions: ports and, wrongly, addresses. */
  readonly port: string
  /** After it; empty where there is none. */
  readonly protocol: string
}

/** `${A:-80}` has a colon and `${A/x/Y}` a slash that belong to the substitution. */
const substitution = /\$\{[^}]*\}|\$\w+/g

/** Cuts the words of an EXPOSE. What a variable stands for is not known and not judged. */
export function exposedWords({ ports }: ExposeInstruction): readonly ExposedWord[] {
  return ports.map((text) => {
    const known = text.replace(substitution, '')
    const [port = '', ...protocol] = known.split('/')
    return { text, port, protocol: protocol.join('/') }
  })
}
