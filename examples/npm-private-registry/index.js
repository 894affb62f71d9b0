const { greet } = require('@acme/greeting')

console.log(greet(process.argv[2] ?? 'world'))
