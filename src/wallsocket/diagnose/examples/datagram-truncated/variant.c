/* The reader waits first, so the kernel's queue is empty when its read begins. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int receiver = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(receiver, (struct sockaddr *)&address, size) ||
        getsockname(receiver, (struct sockaddr *)&address, &size))
        return 1;
    if (fork() == 0) {
        char message[900];
        int sender = socket(AF_INET, SOCK_DGRAM, 0);
        memset(message, 'z', sizeof message);
        usleep(200000);
        sendto(sender, message, sizeof message, 0, (struct sockaddr *)&address, size);
        _exit(0);
    }
    char buffer[256];
    printf("%zd of 900 bytes\n", read(receiver, buffer, sizeof buffer));
    wait(NULL);
    return 0;
}
