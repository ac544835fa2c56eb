// A client counts the bytes of another encoding: the server waits for the rest of the body.
const http = require('http');
const server = http.createServer((request, response) => {
  let body = '';
  request.on('data', (data) => (body += data));
  request.on('end', () => response.end(`stored ${body.length}`));
  request.on('error', () => {});
});
server.listen(0, '127.0.0.1', () => {
  const body = JSON.stringify({ city: 'Zurich' });
  const request = http.request({ port: server.address().port, host: '127.0.0.1', method: 'POST', agent: false });
  request.setHeader('Content-Length', Buffer.byteLength(body, 'utf16le'));
  request.on('response', (response) => console.log(response.statusCode));
  request.on('error', (error) => console.log(error.message));
  request.write(body);
  setTimeout(() => {
    request.destroy();
    server.close();
  }, 2000);
});
