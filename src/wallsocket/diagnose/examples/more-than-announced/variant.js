// A raw server counts characters for Content-Length; the client finds bytes behind the end.
const net = require('net');
const server = net.createServer((connection) => {
  connection.once('data', () => {
    const text = 'Grüße aus Köln';
    connection.end(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
    server.close();
  });
});
server.listen(0, '127.0.0.1', () => {
  const client = net.connect(server.address().port, '127.0.0.1', () => client.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'));
  client.on('data', (data) => console.log(String(data)));
});
