// setBroadcast(true) is missing.
const dgram = require('dgram')
const finder = dgram.createSocket('udp4')
finder.bind(0, () => {
  finder.send('who is there?', 26001, '127.255.255.255', error => {
    console.log(error ? error.code : 'sent')
    finder.close()
  })
})
