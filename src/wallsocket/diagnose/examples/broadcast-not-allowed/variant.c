/* sendto without the option. */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

int main(void) {
    struct sockaddr_in all = {.sin_family = AF_INET, .sin_port = htons(26001), .sin_addr.s_addr = inet_addr("127.255.255.255")};
    int finder = socket(AF_INET, SOCK_DGRAM, 0);
    if (sendto(finder, "who?", 4, 0, (struct sockaddr *)&all, sizeof all) < 0)
        perror("sendto");
    return 0;
}
