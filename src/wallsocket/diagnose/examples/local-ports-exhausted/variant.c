/* A connection for each request, closed by the client. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(6201)};
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bind(listener, (struct sockaddr *)&name, sizeof name);
  listen(listener, 64);
  pid_t server = fork();
  if (server == 0) {
    for (char byte;;) {
      int c = accept(listener, NULL, NULL);
      if (c < 0 || read(c, &byte, 1) <= 0 || byte == 'q')
        _exit(0);
      write(c, &byte, 1);
      read(c, &byte, 1);
      close(c);
    }
  }
  close(listener);
  int last = -1;
  for (int i = 0; i < 40; i++) {
    char byte = 'r';
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(s, (struct sockaddr *)&name, sizeof name) < 0) {
      perror("connect");
      close(s);
      break;
    }
    if (last >= 0)
      close(last);
    write(s, &byte, 1);
    read(s, &byte, 1);
    last = s;
  }
  close(last);
  kill(server, SIGTERM);
  waitpid(server, NULL, 0);
  return 0;
}
