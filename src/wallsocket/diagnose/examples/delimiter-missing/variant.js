// A line-based service greets; its client forgets the line end of the command.
const net = require('net');
const server = net.createServer((connection) => {
  let pending = '';
  connection.write('READY\n');
  connection.on('data', (data) => {
    pending += data;
    for (let end; (end = pending.indexOf('\n')) >= 0; pending = pending.slice(end + 1)) connection.write('PONG\n');
  });
  connection.on('end', () => server.close());
});
server.listen(0, '127.0.0.1', () => {
  const client = net.connect(server.address().port, '127.0.0.1');
  client.once('data', () => client.write('PING'));
  client.setTimeout(1500, () => {
    console.log('no answer');
    client.end();
  });
});
