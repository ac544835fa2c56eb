// Calls on sockets from functions that V8 has named; each begins on a line that is marked.
const net = require("net");

function answer(socket, data) { // HERE answer
  socket.write("answer to " + data);
}

function dial(port) { // HERE dial
  const connection = net.connect(port, "127.0.0.1");
  connection.on("data", () => { connection.end(); server.close(); });
  connection.write("hello");
}

const server = net.createServer((socket) => {
  socket.on("data", (data) => {

    answer(socket, data);
  });
});
server.listen(0, "127.0.0.1", () => dial(server.address().port));
