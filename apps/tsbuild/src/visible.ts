export { visible, visibleLog } from '@tsbuild/command-line'
