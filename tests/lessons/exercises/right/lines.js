const net = require("node:net");

const LIMIT = 4096;

function upper(bytes) {
  const result = Buffer.from(bytes);
  for (let i = 0; i < result.length; i++) if (result[i] >= 97 && result[i] <= 122) result[i] -= 32;
  return result;
}

const server = net.createServer((socket) => {
  let kept = Buffer.alloc(0);
  socket.on("error", () => socket.destroy());
  socket.on("data", (part) => {
    kept = Buffer.concat([kept, part]);
    let end;
    while ((end = kept.indexOf(10)) >= 0) {
      socket.write(upper(kept.subarray(0, end + 1)));
      kept = kept.subarray(end + 1);
    }
    if (kept.length > LIMIT) socket.destroy();
  });
});
server.listen(Number(process.argv[2]));
