const net = require("node:net");

const clients = new Set();
const server = net.createServer((socket) => {
  let kept = Buffer.alloc(0);
  clients.add(socket);
  socket.on("error", () => {});
  socket.on("close", () => clients.delete(socket));
  socket.on("data", (part) => {
    kept = Buffer.concat([kept, part]);
    const end = kept.lastIndexOf(10) + 1;
    if (end === 0) return;
    const lines = kept.subarray(0, end);
    kept = kept.subarray(end);
    for (const other of clients) {
      if (other === socket) continue;
      if (other.writableLength > 1e6) other.destroy();
      else other.write(lines);
    }
  });
});
server.listen(Number(process.argv[2]));
