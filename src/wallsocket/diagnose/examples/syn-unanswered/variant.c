/* connect without blocking, and a wait of three and a half seconds. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
  if (getaddrinfo("server", "6101", &hints, &found) != 0)
    return 2;
  int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (connect(s, found->ai_addr, found->ai_addrlen) < 0 && errno != EINPROGRESS)
    return 2;
  struct pollfd wait = {.fd = s, .events = POLLOUT};
  if (poll(&wait, 1, 3500) == 0)
    fprintf(stderr, "no answer from the server\n");
  close(s);
  freeaddrinfo(found);
  return 0;
}
