// The same with an event loop: the connection is tried before the server has said 'listening'.
const net = require("node:net");

const probe = net.createServer().listen(0, "127.0.0.1", () => {
  const { port } = probe.address();
  probe.close(() => {
    net.connect(port, "127.0.0.1").on("error", (error) => console.log(error.message));
    setTimeout(() => {
      const server = net.createServer().listen(port, "127.0.0.1");
      setTimeout(() => server.close(), 200);
    }, 200);
  });
});
