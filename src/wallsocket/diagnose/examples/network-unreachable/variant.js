// A report to a network without a route.
require("net")
  .connect(8125, "192.0.2.10")
  .on("error", (error) => console.log(error.code));
