// A server for IPv6 only, and a client that asks for 127.0.0.1.
const net = require("node:net");

const server = net.createServer().listen({ port: 0, host: "::1" }, () => {
  const client = net.connect(server.address().port, "127.0.0.1");
  client.on("error", (error) => {
    console.log(error.message);
    server.close();
  });
});
