const dgram = require("node:dgram");

const service = dgram.createSocket("udp4");
service.on("message", (data, client) => {
  const answer = Buffer.from(data);
  for (let i = 0; i < answer.length; i++) {
    if (answer[i] >= 97 && answer[i] <= 122) answer[i] -= 32;
  }
  service.send(answer, client.port, client.address);
});
service.bind(Number(process.argv[2]));
