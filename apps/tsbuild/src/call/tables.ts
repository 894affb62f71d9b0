import { stripVTControlCharacters } from 'node:util'
import type { OutlineReport, TargetsReport } from '@tsbuild/builder'
import { formatTable, visible } from '@tsbuild/command-line'

/** The text of `--call=outline`: the target, then a table for arguments, secrets and ssh agents as far as there are any. */
export function outlineText({ name, description, args, secrets, ssh }: OutlineReport): string {
  const head = [
    ['TARGET:', name ?? 'default'],
    ...(description === undefined ? [] : [['DESCRIPTION:', description]]),
  ]
  const mounts = (title: string, list: OutlineReport['secrets']) => [
    [title, 'REQUIRED'],
    ...list.map(({ id, required }) => [id, required ? 'true' : '']),
  ]
  const tables = [
    head,
    [
      ['BUILD ARG', 'VALUE', 'DEFAULT', 'DESCRIPTION'],
      ...args.map((arg) => [arg.name, arg.value ?? '', arg.default ?? '', arg.description ?? '']),
    ],
    mounts('SECRET', secrets),
    mounts('SSH', ssh),
  ]
  // A table of nothing but its titles says nothing.
  const shown = tables.filter((rows, index) => index === 0 || rows.length > 1)
  return shown.map(plainTable).join('\n')
}

/** The text of `--call=targets`: a table of the stages. One without a name goes by its number. */
export function targetsText({ targets }: TargetsReport): string {
  return plainTable([
    ['TARGET', 'BASE', 'DESCRIPTION'],
    ...targets.map((target) => {
      const name = target.name ?? String(target.index)
      return [target.default ? `${name} (default)` : name, target.base, target.description ?? '']
    }),
  ])
}

/** Values come from anywhere: each stays on its line, and says nothing to the terminal. */
function plainTable(rows: readonly (readonly string[])[]): string {
  const plain = (cell: string) => visible(stripVTControlCharacters(cell).replace(/\s+/g, ' '))
  return formatTable(rows.map((row) => row.map(plain)))
}
