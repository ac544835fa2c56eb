// A client with a limit of its own of three and a half seconds.
const net = require("net");
const client = net.connect({ host: "server", port: 6101, family: 4 });
client.setTimeout(3500, () => {
  console.log("no answer");
  client.destroy();
});
client.on("error", (error) => console.log(error.code));
