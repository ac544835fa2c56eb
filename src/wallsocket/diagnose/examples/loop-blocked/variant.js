// A service computes a hash for one client in the loop that serves all of them.
const crypto = require('crypto')
const net = require('net')

const service = net.createServer((client) => {
  client.on('data', (question) => {
    if (question.toString() === 'hash') {
      const until = Date.now() + 1800
      let hash = 'salt'
      while (Date.now() < until) hash = crypto.createHash('sha512').update(hash).digest('hex')
      client.end(hash)
    } else {
      client.end('pong')
    }
  })
}).listen(0, '127.0.0.1', () => {
  // The clients are programs of their own: here the loop would hold them up as well.
  const { port } = service.address()
  const program = `const s = require('net').connect(${port}, '127.0.0.1'); s.on('data', () => {}).on('end', () => s.end());`
  const { spawn } = require('child_process')
  const ask = (question, after) => spawn(process.execPath, ['-e', `${program} setTimeout(() => s.write('${question}'), ${after})`])
  let left = 2
  const done = () => { left -= 1; if (!left) service.close() }
  ask('hash', 800).on('exit', done)
  ask('ping', 1300).on('exit', done)
})
