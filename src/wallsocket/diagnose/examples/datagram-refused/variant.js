// The error comes to the socket of a client that is connected.
const dgram = require('dgram')
const client = dgram.createSocket('udp4')
client.on('error', error => { console.log(error.code); client.close() })
client.on('message', () => client.close())
client.connect(23124, '127.0.0.1', () => client.send('status?'))
setTimeout(() => process.exit(), 1000)
