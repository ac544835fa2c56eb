/* Both ends write large data before they read: both buffers fill up. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char data[32 << 20];

static void exchange(int connection) {
    alarm(3); /* a real one waits for ever */
    send(connection, data, sizeof data, 0);
    recv(connection, data, sizeof data, 0);
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 5) ||
        getsockname(listener, (struct sockaddr *)&address, &size))
        return 1;
    if (fork() == 0) {
        close(listener);
        int client = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(client, (struct sockaddr *)&address, size)) _exit(1);
        exchange(client);
        _exit(0);
    }
    if (fork() == 0) {
        int connection = accept(listener, NULL, NULL);
        close(listener);
        exchange(connection);
        _exit(0);
    }
    close(listener);
    while (wait(NULL) > 0);
    puts("both were ended by their alarms");
    return 0;
}
