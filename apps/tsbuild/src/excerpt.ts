export { excerpt } from '@tsbuild/command-line'
