/* A server that forks for each client, and whose parent keeps its copy of the connection. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(7023), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char line[100];
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&where, sizeof where) < 0 || listen(listener, 5) < 0) return 1;
    pid_t client = fork();
    if (client == 0) {
        int connection = socket(AF_INET, SOCK_STREAM, 0);
        close(listener);
        if (connect(connection, (struct sockaddr *)&where, sizeof where) < 0) return 1;
        write(connection, "date\n", 5);
        while (read(connection, line, sizeof line) > 0) continue;
        exit(0);
    }
    int accepted = accept(listener, NULL, NULL);
    if (fork() == 0) {
        close(listener);
        read(accepted, line, sizeof line);
        write(accepted, "today\n", 6);
        close(accepted);
        exit(0);
    }
    wait(NULL);
    sleep(2);
    return 0;
}
