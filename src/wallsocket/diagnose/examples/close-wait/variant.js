// With allowHalfOpen the end of the client does not end the connection: the program must, and does not.
const net = require("node:net");

const server = net.createServer({ allowHalfOpen: true }, (connection) => {
  connection.on("data", () => {});
  connection.on("end", () => {});
});
server.listen(0, "127.0.0.1", () => {
  for (let i = 0; i < 5; i++) net.connect(server.address().port, "127.0.0.1").end("hello\n");
  setTimeout(() => process.exit(), 1800);
});
