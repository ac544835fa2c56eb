// main.mjs serve PORT: an HTTP server for two paths, until SIGTERM. main.mjs fetch PORT: asks for both and for a third.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { createHash } from "node:crypto";

const [what, port] = process.argv.slice(2);

if (what === "serve") {
  const files = { "/body.bin": readFileSync("body.bin"), "/small.txt": readFileSync("small.txt") };
  const server = createServer((request, response) => {
    const body = files[request.url];
    console.log(request.method, request.url);
    response.writeHead(body ? 200 : 404, { Date: "" }).end(body ?? "no such file\n");
  });
  server.listen(Number(port), "127.0.0.1");
  process.on("SIGTERM", () => {
    server.close(() => console.log("closed"));
    server.closeAllConnections();
  });
} else {
  for (const path of ["/body.bin", "/small.txt", "/absent"]) {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    const body = Buffer.from(await response.arrayBuffer());
    console.log(path, response.status, body.length, createHash("sha256").update(body).digest("hex"));
  }
}
