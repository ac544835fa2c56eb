/* poll() without a time limit, on a connected socket; an alarm ends it. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof where;
    int service = socket(AF_INET, SOCK_DGRAM, 0);
    char question[100];
    if (bind(service, (struct sockaddr *)&where, size) || getsockname(service, (struct sockaddr *)&where, &size))
        return 1;
    if (fork() == 0) {
        int client = socket(AF_INET, SOCK_DGRAM, 0);
        struct pollfd wait = {.fd = client, .events = POLLIN};
        connect(client, (struct sockaddr *)&where, size);
        send(client, "status?", 7, 0);
        alarm(2);
        poll(&wait, 1, -1);
        _exit(0);
    }
    recv(service, question, sizeof question, 0);
    wait(NULL);
    return 0;
}
