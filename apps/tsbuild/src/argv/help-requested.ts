export { HelpRequested } from '@tsbuild/command-line'
