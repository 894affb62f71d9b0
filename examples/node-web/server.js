const http = require('node:http')
const ms = require('ms')

/** A server that says how long it has been up. */
function createServer(now = () => process.uptime() * 1000) {
  return http.createServer((request, response) => {
    response.setHeader('content-type', 'text/plain; charset=utf-8')
    response.end(`up for ${ms(now(), { long: true })}\n`)
  })
}

if (require.main === module) {
  const server = createServer().listen(Number(process.env.PORT ?? 8080), () => {
    console.log(`listening on ${server.address().port}`)
  })
  process.on('SIGTERM', () => server.close())
}

module.exports = { createServer }
