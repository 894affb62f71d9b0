import { processHost } from './host.ts'
import { main } from './main.ts'

// What is open now (idle connections, the index) is of no use any more; waiting for it would only delay the prompt.
const code = await main(process.argv.slice(2), processHost())
process.exitCode = code
process.stdout.write('', () => process.exit(code))
