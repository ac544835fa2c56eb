// A server takes each recv for one order; two that come together are answered once.
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1)) return 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    int sent[2];
    if (pipe(sent)) return 1;
    if (fork() == 0) {
        char order[256];
        int connection = accept(listener, NULL, NULL);
        if (read(sent[0], order, 1) != 1) _exit(1);
        ssize_t got;
        while ((got = recv(connection, order, sizeof order, 0)) > 0) {
            printf("order: %.*s\n", (int)got, order);
            send(connection, "OK", 2, MSG_NOSIGNAL);
        }
        _exit(0);
    }
    close(listener);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval limit = {.tv_sec = 1, .tv_usec = 500000};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(client, (struct sockaddr *)&address, size)) return 1;
    send(client, "buy 3 apples", 12, 0);
    send(client, "sell 10 pears", 13, 0);
    if (write(sent[1], ".", 1) != 1) return 1;
    char answer[2];
    for (int number = 0; number < 2; number++)
        if (recv(client, answer, sizeof answer, 0) < 0) perror("recv");
    close(client);
    wait(NULL);
    return 0;
}
