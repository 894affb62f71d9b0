import type { Dockerfile, Instruction } from '../instruction.ts'

/** What a rule found. */
export interface Finding {
  readonly instruction: Instruction
  readonly message: string
}

/** A rule that needs only the file. */
export interface Rule {
  readonly name: string
  /** Runs only when it is asked for. */
  readonly experimental?: boolean
  readonly find: (dockerfile: Dockerfile) => readonly Finding[]
}

/** Makes a rule that looks at one instruction at a time; null is no finding. */
export function perInstruction(name: string, find: (instruction: Instruction) => string | null): Rule {
  return {
    name,
    find: ({ instructions }) =>
      instructions.flatMap((instruction) => {
        const message = find(instruction)
        return message === null ? [] : [{ instruction, message }]
      }),
  }
}
