/* The second write after the peer has gone raises SIGPIPE, which ends a program that does not expect it. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
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
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, (struct sockaddr *)&address, size)) return 1;
    int connection = accept(listener, NULL, NULL);
    pid_t child = fork();
    if (child == 0) {
        char end;
        close(client);
        signal(SIGPIPE, SIG_DFL);
        recv(connection, &end, 1, 0);
        for (;;) write(connection, "tick\n", 5);
    }
    close(connection);
    close(client);
    int status;
    waitpid(child, &status, 0);
    printf("child ended by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return 0;
}
