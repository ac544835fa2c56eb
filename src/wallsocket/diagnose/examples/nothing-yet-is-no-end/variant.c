// A non-blocking client takes every result that is not positive for the end, EAGAIN too.
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1)) return 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    int gone[2];
    if (pipe(gone)) return 1;
    if (fork() == 0) {
        close(gone[1]);
        int connection = accept(listener, NULL, NULL);
        char data[64];
        if (recv(connection, data, sizeof data, 0) <= 0) _exit(1);
        send(connection, "first part, ", 12, MSG_NOSIGNAL);
        if (read(gone[0], data, 1) < 0) _exit(1);
        send(connection, "second part\n", 12, MSG_NOSIGNAL);
        close(connection);
        _exit(0);
    }
    close(listener);
    close(gone[0]);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, (struct sockaddr *)&address, size)) return 1;
    send(client, "list\n", 5, 0);
    char answer[64];
    ssize_t have = recv(client, answer, sizeof answer, 0), got;
    fcntl(client, F_SETFL, O_NONBLOCK);
    while ((got = recv(client, answer + have, sizeof answer - have, 0)) > 0) have += got;
    close(client);
    close(gone[1]);
    printf("%.*s\n", (int)have, answer);
    wait(NULL);
    return 0;
}
