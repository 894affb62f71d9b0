import { commands } from './commands.ts'

/** The text of `tsbuild --help`. */
export function overview(): string {
  const rows = [
    ...commands.map(({ usage, summary }) => [usage, summary] as const),
    ['version', 'Print the version'] as const,
    ['help [COMMAND]', 'Show this, or the flags of a command'] as const,
  ]
  const width = Math.max(...rows.map(([usage]) => usage.length)) + 2
  return `Usage: tsbuild [COMMAND] [flags]

Builds OCI images from Dockerfiles, without a daemon.

Commands:
${rows.map(([usage, summary]) => `  ${usage.padEnd(width)}${summary}`).join('\n')}

Examples:
  tsbuild -t app:1.0 .                      build the Dockerfile of this directory
  tsbuild -o type=oci,dest=app.tar .        write the image as an archive
  tsbuild -t registry.example/app --push .  push it
  tsbuild run app:1.0                       run it

Environment: TSBUILD_ROOT, TSBUILD_PROGRESS, TSBUILD_TRUST_CA, TSBUILD_SCOPE,
TSBUILD_DURABILITY, DOCKER_CONFIG, SOURCE_DATE_EPOCH, NO_COLOR, HTTP_PROXY, HTTPS_PROXY, NO_PROXY
`
}
