// Node does not block: it reads the refusal from SO_ERROR.
const net = require("node:net");

const probe = net.createServer().listen(0, "127.0.0.1", () => {
  const { port } = probe.address();
  probe.close(() => net.connect(port, "127.0.0.1").on("error", (error) => console.log(error.message)));
});
