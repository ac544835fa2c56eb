// The client sends the length as it lies in memory; the server turns it with ntohl, and waits for a huge message.
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void serve(int listener) {
    int connection = accept(listener, NULL, NULL);
    uint32_t length;
    if (recv(connection, &length, sizeof length, MSG_WAITALL) != sizeof length) return;
    length = ntohl(length);
    char *message = malloc(length);
    size_t have = 0;
    ssize_t got;
    while (have < length && (got = recv(connection, message + have, length - have, 0)) > 0) have += got;
    if (have == length) send(connection, "stored\n", 7, MSG_NOSIGNAL);
    free(message);
    close(connection);
}

int main(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1)) return 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    if (fork() == 0) {
        serve(listener);
        _exit(0);
    }
    close(listener);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval limit = {.tv_sec = 1, .tv_usec = 500000};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(client, (struct sockaddr *)&address, size)) return 1;
    char packet[64];
    uint32_t length = 20;
    memcpy(packet, &length, sizeof length);
    memset(packet + sizeof length, 'x', length);
    send(client, packet, sizeof length + length, 0);
    char answer[16];
    if (recv(client, answer, sizeof answer, 0) < 0) perror("recv");
    close(client);
    wait(NULL);
    return 0;
}
