/* A datagram to a network without a route. */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(514)};
  inet_pton(AF_INET, "198.51.100.7", &to.sin_addr);
  int log = socket(AF_INET, SOCK_DGRAM, 0);
  if (sendto(log, "<14>started", 11, 0, (struct sockaddr *)&to, sizeof to) < 0)
    perror("syslog");
  close(log);
  return 0;
}
