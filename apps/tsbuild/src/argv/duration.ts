export { parseDuration } from '@tsbuild/command-line'
