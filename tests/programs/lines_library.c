/* A library of the user's own: see lines.c. */
#include <string.h>
#include <sys/socket.h>

void relay(int to, const char *text) {
    struct iovec part = {(void *)text, strlen(text)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (sendmsg(to, &message, 0) < 0) /* HERE sendmsg */
        message.msg_iovlen = 0;
}
