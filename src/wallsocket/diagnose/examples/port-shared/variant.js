// reuseAddr: true for UDP lets a second program take the port.
const dgram = require('dgram')
const { fork } = require('child_process')
const collector = dgram.createSocket({ type: 'udp4', reuseAddr: true })
let count = 0
collector.on('message', () => count++)
collector.bind(23019, '127.0.0.1', () => {
  if (process.argv[2]) return process.send('ready')
  fork(__filename, ['new']).on('message', () => {
    const sender = dgram.createSocket('udp4')
    for (let number = 0; number < 6; number++) sender.send('x', 23019, '127.0.0.1')
  })
})
setTimeout(() => { console.log(process.argv[2] || 'old', count); process.exit() }, process.argv[2] ? 2000 : 4000)
