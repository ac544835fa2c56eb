/* The same from a client that does not block. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(server, (struct sockaddr *)&address, size) || getsockname(server, (struct sockaddr *)&address, &size))
        return 1;
    int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = 0;
    connect(client, (struct sockaddr *)&address, size);
    struct pollfd watched = {.fd = client, .events = POLLOUT};
    poll(&watched, 1, 1000);
    size = sizeof error;
    getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &size);
    puts(strerror(error));
    return 0;
}
