export { classifyError } from '@tsbuild/command-line'
