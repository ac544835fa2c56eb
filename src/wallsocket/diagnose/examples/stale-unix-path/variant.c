/* A server that ended without unlink, and its next start. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int serve(const struct sockaddr_un *name) {
  int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(s, (const struct sockaddr *)name, sizeof *name) < 0) {
    perror("bind");
    close(s);
    return 1;
  }
  listen(s, 5);
  return 0;
}

int main(void) {
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  snprintf(name.sun_path, sizeof name.sun_path, "/tmp/stale-example-%d", (int)getpid());
  pid_t first = fork();
  if (first == 0)
    _exit(serve(&name));
  waitpid(first, NULL, 0);
  serve(&name);
  unlink(name.sun_path);
  return 0;
}
