// bind(port, address of an interface) and addMembership.
const dgram = require('dgram')
const receiver = dgram.createSocket({ type: 'udp4', reuseAddr: true })
receiver.on('message', message => console.log(message.toString()))
receiver.bind(26007, '127.0.0.1', () => {
  receiver.addMembership('239.3.3.4', '127.0.0.1')
  const sender = dgram.createSocket('udp4')
  sender.bind(0, () => {
    sender.setMulticastInterface('127.0.0.1')
    sender.send('price', 26007, '239.3.3.4')
  })
})
setTimeout(() => process.exit(), 700)
