import { startDistribution } from '@tsbuild/distribution/testing'

// A server of /v2 in a process of its own, to be watched: prints its port, and ends with its input.
const server = await startDistribution(process.argv[2])
process.stdout.write(`${server.port}\n`)
process.stdin.resume().once('end', () => server.stop())
