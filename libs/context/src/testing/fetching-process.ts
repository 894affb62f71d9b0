import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { gitEnvironment } from '../git/git-environment.ts'
import { runGit } from '../git/run-git.ts'

/** Fetches a repository, as a process of its own that a test can kill: `<git> <remote> <empty directory>`. */
const [program = '', remote = '', home = ''] = process.argv.slice(2)
const env = gitEnvironment({ env: { PATH: process.env.PATH }, home, transport: 'http' })
const { signal } = new AbortController()
const run = { program, cwd: home, env, signal, silenceMs: 60_000, remote: true, secrets: [] }
const repository = join(home, 'r.git')
mkdirSync(repository)
await runGit({ ...run, args: ['init', '--quiet', '--bare', repository] })
await runGit({ ...run, args: [`--git-dir=${repository}`, 'fetch', '--', remote, 'main'] })
