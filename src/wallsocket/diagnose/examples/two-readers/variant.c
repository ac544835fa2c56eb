// The header is read with fgets, which fills its buffer with the body too; recv then waits for it.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void serve(int listener) {
    int connection = accept(listener, NULL, NULL);
    FILE *stream = fdopen(connection, "r");
    char line[32], body[64];
    if (fgets(line, sizeof line, stream) == NULL) return;
    long length = atol(line), have = 0;
    ssize_t got;
    while (have < length && (got = recv(connection, body + have, length - have, 0)) > 0) have += got;
    if (have == length) send(connection, "stored\n", 7, MSG_NOSIGNAL);
    fclose(stream);
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
    send(client, "5\nhello", 7, 0);
    char answer[16];
    if (recv(client, answer, sizeof answer, 0) < 0) perror("recv");
    close(client);
    wait(NULL);
    return 0;
}
