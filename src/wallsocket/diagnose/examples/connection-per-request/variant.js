// An HTTP client without an agent: a connection for each of its requests.
const http = require('http')

const server = http.createServer((request, response) => response.end('{}')).listen(0, '127.0.0.1', async () => {
  const { port } = server.address()
  const get = (path) => new Promise((done) => {
    http.get({ port, host: '127.0.0.1', path, agent: false }, (response) => response.resume().on('end', done))
  })
  for (let i = 0; i < 40; i++) await get(`/${i}`)
  console.log('40 requests')
  server.close()
})
