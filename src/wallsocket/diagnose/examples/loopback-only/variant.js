// The same with a server that was given "localhost".
const net = require("node:net");

const server = net.createServer().listen(0, "127.0.0.1", () => {
  const client = net.connect(server.address().port, "127.0.0.2");
  client.on("error", (error) => {
    console.log(error.message);
    server.close();
  });
});
