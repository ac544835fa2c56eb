// The store has moved: nobody has its old address any more.
require("net")
  .connect(6100, "10.91.0.77")
  .on("error", (error) => console.log(error.code));
