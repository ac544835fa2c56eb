// The event loop does other work; the kernel completes handshakes until the queue is full.
const net = require("node:net");
const { spawn } = require("node:child_process");

const server = net.createServer((connection) => connection.destroy());
server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
  const connect = `
    const net = require("node:net");
    let left = 8;
    for (let i = 0; i < 8; i++) {
      const client = net.connect(${server.address().port}, "127.0.0.1");
      client.on("error", () => {});
      client.on("close", () => --left || process.exit());
    }
    setTimeout(() => process.exit(), 2500);`;
  const child = spawn(process.execPath, ["-e", connect]);
  child.on("exit", () => server.close());
  const end = Date.now() + 2000;
  while (Date.now() < end);
});
