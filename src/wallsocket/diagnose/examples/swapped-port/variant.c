/* A server that forgets htons: it listens on the port whose bytes are exchanged. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    for (int port = 20001; port < 20050; port++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        address.sin_port = port; /* htons is missing */
        int listener = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 5)) continue;
        int client = socket(AF_INET, SOCK_STREAM, 0);
        address.sin_port = htons(port);
        if (connect(client, (struct sockaddr *)&address, sizeof address)) perror("connect");
        return 0;
    }
    return 1;
}
