export { formatAge, formatSize, formatTable, shortId, splitName } from '@tsbuild/command-line'
