// Each write of a net.Socket is a call of its own, and TCP_NODELAY is off.
const net = require("node:net");
const { fork } = require("node:child_process");

if (process.argv[2]) {
  let left = 20;
  const client = net.connect(Number(process.argv[2]), "127.0.0.1");
  const ask = () => {
    client.write(Buffer.alloc(8));
    client.write(Buffer.alloc(100));
  };
  client.on("connect", ask);
  client.on("data", () => (--left ? ask() : client.end()));
} else {
  const server = net.createServer((connection) => {
    let got = 0;
    connection.on("data", (data) => {
      got += data.length;
      for (; got >= 108; got -= 108) connection.write("done");
    });
  });
  server.listen(0, "127.0.0.1", () => fork(__filename, [server.address().port]).on("exit", () => server.close()));
}
