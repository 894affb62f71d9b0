const assert = require('node:assert')
const http = require('node:http')
const { test } = require('node:test')
const { createServer } = require('./server.js')

test('the server says how long it has been up', (t, done) => {
  const server = createServer(() => 120_000).listen(0, '127.0.0.1', () => {
    http.get({ port: server.address().port, host: '127.0.0.1' }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => {
        server.close()
        assert.strictEqual(text, 'up for 2 minutes\n')
        done()
      })
    })
  })
})
