/* The same without blocking: the error comes through SO_ERROR. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(6100)};
  inet_pton(AF_INET, "10.91.0.77", &to.sin_addr);
  int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (connect(s, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
    return 2;
  struct pollfd wait = {.fd = s, .events = POLLOUT};
  poll(&wait, 1, 20000);
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &length);
  fprintf(stderr, "%s\n", strerror(error));
  close(s);
  return 0;
}
