// link_loop NEAR FAR: the floor of a forwarder: every frame that arrives at one interface leaves by the other, with recvmmsg and
// sendmmsg, one thread for each direction. Prints "ready" and runs until it is killed.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
enum { BATCH = 64, ROOM = 2048 };
struct pair { int from, to; };
static int open_interface(const char *name) {
    int s = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), on = 1, room = 8 << 20;
    struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = if_nametoindex(name)};
    setsockopt(s, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
    if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room)) setsockopt(s, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (bind(s, (void *)&a, sizeof a)) perror("bind");
    return s;
}
static void *carry(void *argument) {
    struct pair p = *(struct pair *)argument;
    static __thread char room[BATCH][ROOM];
    struct mmsghdr m[BATCH];
    struct iovec v[BATCH];
    for (;;) {
        memset(m, 0, sizeof m);
        for (int i = 0; i < BATCH; i++) {
            v[i] = (struct iovec){room[i], ROOM};
            m[i].msg_hdr.msg_iov = &v[i];
            m[i].msg_hdr.msg_iovlen = 1;
        }
        int n = recvmmsg(p.from, m, BATCH, MSG_WAITFORONE, 0);
        if (n <= 0) continue;
        for (int i = 0; i < n; i++) v[i].iov_len = m[i].msg_len;
        for (int sent = 0; sent < n;) {
            int k = sendmmsg(p.to, m + sent, n - sent, 0);
            sent += k > 0 ? k : 1;
        }
    }
}
int main(int count, char **names) {
    if (count != 3) return 2;
    int a = open_interface(names[1]), b = open_interface(names[2]);
    struct pair forth = {a, b}, back = {b, a};
    pthread_t thread;
    pthread_create(&thread, 0, carry, &forth);
    puts("ready");
    fflush(stdout);
    carry(&back);
}
