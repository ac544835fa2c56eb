/* A sender of statistics makes a datagram socket for every value and closes none. */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static void count(struct sockaddr_in *collector, int value)
{
    char line[32];
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    int length = snprintf(line, sizeof line, "jobs:%d|c", value);
    sendto(s, line, length, 0, (struct sockaddr *)collector, sizeof *collector);
}

int main(void)
{
    struct sockaddr_in collector = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof collector;
    int receiver = socket(AF_INET, SOCK_DGRAM, 0);
    bind(receiver, (struct sockaddr *)&collector, length);
    getsockname(receiver, (struct sockaddr *)&collector, &length);
    for (int i = 0; i < 20; i++) {
        char line[64];
        count(&collector, i);
        if (recv(receiver, line, sizeof line, 0) < 0)
            return 1;
        usleep(80000);
    }
    close(receiver);
    return 0;
}
