// A server starts where a killed one has left the file of its socket.
const { execFileSync } = require("child_process");
const fs = require("fs");
const net = require("net");
const os = require("os");
const path = require("path");

const first = process.argv[2] === "first";
const folder = first ? "" : fs.mkdtempSync(path.join(os.tmpdir(), "stale-"));
const file = path.join(folder, "app.sock");
if (first) {
  net.createServer().listen(process.argv[3], () => process.kill(process.pid, "SIGKILL"));
} else {
  try {
    execFileSync(process.execPath, [__filename, "first", file]);
  } catch (error) {
    console.log("the first server was killed");
  }
  net
    .createServer()
    .on("error", (error) => {
      console.log(error.code);
      fs.rmSync(folder, { recursive: true });
    })
    .listen(file);
}
