// The same in Node; the port is held by another process.
const net = require("node:net");
const { execFileSync } = require("node:child_process");

const first = net.createServer().listen(0, "127.0.0.1", () => {
  const start = `
    require("node:net").createServer().on("error", (error) => console.log(error.message))
      .listen(${first.address().port}, "127.0.0.1");`;
  process.stdout.write(execFileSync(process.execPath, ["-e", start]));
  first.close();
});
