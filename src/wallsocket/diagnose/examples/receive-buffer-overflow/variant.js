// The event loop is busy while the datagrams come, and its receive buffer is small.
const dgram = require("node:dgram");

const receiver = dgram.createSocket({ type: "udp4", recvBufferSize: 4096 });
let received = 0;
receiver.on("message", () => (received += 1));
receiver.bind(0, "127.0.0.1", () => {
  const { execFileSync } = require("node:child_process");
  const send = `
    const socket = require("node:dgram").createSocket("udp4");
    let left = 200;
    for (let i = 0; i < 200; i++)
      socket.send(Buffer.alloc(512), ${receiver.address().port}, "127.0.0.1", () => --left || socket.close());`;
  execFileSync(process.execPath, ["-e", send]);
  setTimeout(() => {
    console.log(received, "of 200 datagrams");
    receiver.close();
  }, 200);
});
