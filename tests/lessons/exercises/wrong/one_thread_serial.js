// Answers when the client has finished, instead of line by line.
const net = require("node:net");

const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  let text = "";
  socket.setEncoding("latin1");
  socket.on("error", () => socket.destroy());
  socket.on("data", (part) => (text += part));
  socket.on("end", () => socket.end(text.toUpperCase(), "latin1"));
});
server.listen(Number(process.argv[2]));
