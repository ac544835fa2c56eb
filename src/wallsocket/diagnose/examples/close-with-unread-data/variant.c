/* The server process ends while the request lies unread in its queue. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
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
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, (struct sockaddr *)&address, size)) return 1;
    send(client, "hello, are you there?", 21, 0);
    if (fork() == 0) {
        close(client);
        int connection = accept(listener, NULL, NULL);
        write(connection, "no", 2);
        exit(0);
    }
    wait(NULL);
    char answer[8];
    send(client, "?", 1, MSG_NOSIGNAL);
    ssize_t got = recv(client, answer, sizeof answer, 0);
    if (got == 2) got = recv(client, answer, sizeof answer, 0);
    if (got < 0) perror("recv");
    return 0;
}
