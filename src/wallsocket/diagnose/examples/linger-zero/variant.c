/* The same in C. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(7021), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    static char body[400000], part[4096];
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&where, sizeof where) < 0 || listen(listener, 5) < 0) return 1;
    if (fork() == 0) {
        int client = socket(AF_INET, SOCK_STREAM, 0);
        close(listener);
        if (connect(client, (struct sockaddr *)&where, sizeof where) < 0) return 1;
        while (read(client, part, sizeof part) > 0) usleep(5000);
        perror("read");
        exit(0);
    }
    int accepted = accept(listener, NULL, NULL);
    setsockopt(accepted, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    for (size_t sent = 0; sent < sizeof body;) {
        ssize_t took = write(accepted, body + sent, sizeof body - sent);
        if (took <= 0) return 1;
        sent += took;
    }
    close(accepted);
    close(listener);
    wait(NULL);
    return 0;
}
