/* The option is set, but after bind, where it comes too late. */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    char byte;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 5) ||
        getsockname(listener, (struct sockaddr *)&address, &size))
        return 1;
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, (struct sockaddr *)&address, size)) return 1;
    close(accept(listener, NULL, NULL));
    recv(client, &byte, 1, 0);
    close(client);
    close(listener);
    int again = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (bind(again, (struct sockaddr *)&address, size)) perror("bind");
    setsockopt(again, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    close(again);
    return 0;
}
