/* Fragments are forbidden, and the datagram is longer than the interface takes. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(void) {
    static char message[65530];
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(26002), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int sender = socket(AF_INET, SOCK_DGRAM, 0), never = IP_PMTUDISC_DO;
    memset(message, 'x', sizeof message);
    setsockopt(sender, IPPROTO_IP, IP_MTU_DISCOVER, &never, sizeof never);
    if (sendto(sender, message, sizeof message, 0, (struct sockaddr *)&far, sizeof far) < 0)
        perror("sendto");
    return 0;
}
