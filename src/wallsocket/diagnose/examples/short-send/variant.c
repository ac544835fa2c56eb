/* A non-blocking socketpair: write takes what fits, and the program goes on as if it had taken all. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int pair[2];
    static char message[4000000];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return 1;
    if (fork() == 0) {
        close(pair[0]);
        sleep(1);
        size_t total = 0;
        ssize_t got;
        while ((got = read(pair[1], message, sizeof message)) > 0) total += got;
        printf("%zu of %zu bytes arrived\n", total, sizeof message);
        return 0;
    }
    close(pair[1]);
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    write(pair[0], message, sizeof message);
    close(pair[0]);
    wait(NULL);
    return 0;
}
