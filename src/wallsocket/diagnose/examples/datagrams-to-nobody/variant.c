/* The port is right, the address is not: the collector has bound another one of this host. */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

int main(void) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(28126), .sin_addr.s_addr = inet_addr("127.0.0.2")};
    int collector = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(collector, (struct sockaddr *)&here, sizeof here))
        return 1;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int number = 0; number < 3; number++)
        sendto(sender, "pressure", 8, 0, (struct sockaddr *)&here, sizeof here);
    puts("3 measurements sent");
    return 0;
}
