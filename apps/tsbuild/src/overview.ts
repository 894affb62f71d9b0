import { commandLines } from '@tsbuild/command-line'
import { commands } from './commands.ts'

/** The text of `tsbuild --help`. */
export function overview(): string {
  return `Usage: tsbuild [COMMAND] [flags]

Builds OCI images from Dockerfiles, without a daemon.

Commands:
${commandLines(commands)}

Examples:
  tsbuild -t app:1.0 .                      build the Dockerfile of this directory
  tsbuild -o type=oci,dest=app.tar .        write the image as an archive
  tsbuild -t registry.example/app --push .  push it
  tsbuild run app:1.0                       run it

Environment: TSBUILD_ROOT, TSBUILD_PROGRESS, TSBUILD_TRUST_CA, TSBUILD_SCOPE,
TSBUILD_DURABILITY, DOCKER_CONFIG, SOURCE_DATE_EPOCH, NO_COLOR, HTTP_PROXY, HTTPS_PROXY, NO_PROXY
`
}
