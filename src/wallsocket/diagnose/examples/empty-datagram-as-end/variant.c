/* The same with a queue: what follows the empty datagram is there already when the collector closes. */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof where;
    int collector = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
    char line[1500];
    if (bind(collector, (struct sockaddr *)&where, size) || getsockname(collector, (struct sockaddr *)&where, &size))
        return 1;
    sendto(sender, "first", 5, 0, (struct sockaddr *)&where, size);
    sendto(sender, "", 0, 0, (struct sockaddr *)&where, size);
    sendto(sender, "second", 6, 0, (struct sockaddr *)&where, size);
    while (recv(collector, line, sizeof line, 0) > 0)
        puts("a line");
    close(collector);
    return 0;
}
