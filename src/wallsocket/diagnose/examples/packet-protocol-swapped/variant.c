/* The protocol is given to bind, also without htons(). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <stdio.h>
#include <sys/socket.h>

int main(void) {
    /* A network of our own, where we may open packet sockets. */
    struct ifreq loopback = {.ifr_flags = IFF_UP};
    strcpy(loopback.ifr_name, "lo");
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
        return 1;
    ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFFLAGS, &loopback);
    struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_protocol = ETH_P_IP, .sll_ifindex = if_nametoindex("lo")};
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int sniffer = socket(AF_PACKET, SOCK_RAW, 0);
    int receiver = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
    socklen_t size = sizeof far;
    if (sniffer < 0 || bind(sniffer, (struct sockaddr *)&where, sizeof where))
        return 1;
    bind(receiver, (struct sockaddr *)&far, size);
    getsockname(receiver, (struct sockaddr *)&far, &size);
    sendto(sender, "hello", 5, 0, (struct sockaddr *)&far, size);
    struct pollfd wait = {.fd = sniffer, .events = POLLIN};
    puts(poll(&wait, 1, 500) ? "a packet" : "no packet seen");
    return 0;
}
