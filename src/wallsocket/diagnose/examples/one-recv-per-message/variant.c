/* A reader that reads the length in front of a message, then the message with one recv: the rest comes later. */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 5) ||
        getsockname(listener, (struct sockaddr *)&address, &size))
        return 1;
    static char message[200000];
    memset(message, 'x', sizeof message);
    if (fork() == 0) {
        int client = socket(AF_INET, SOCK_STREAM, 0);
        uint32_t length = htonl(sizeof message);
        if (connect(client, (struct sockaddr *)&address, size)) _exit(1);
        send(client, &length, sizeof length, MSG_NOSIGNAL);
        send(client, message, sizeof message, MSG_NOSIGNAL);
        recv(client, message, 2, 0);
        _exit(0);
    }
    int connection = accept(listener, NULL, NULL);
    uint32_t length;
    if (recv(connection, &length, sizeof length, MSG_WAITALL) != sizeof length) return 1;
    ssize_t got = recv(connection, message, ntohl(length), 0);
    printf("%zd of %u bytes\n", got, ntohl(length));
    send(connection, "ok", 2, MSG_NOSIGNAL);
    close(connection);
    wait(NULL);
    return 0;
}
