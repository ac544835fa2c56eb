// Calls out of templates, closures and exceptions: see lines.c.
#include <functional>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

namespace wires {

template <typename Text> struct Sender {
    int to;
    __attribute__((noinline)) long send(const Text &text) const {
        long done = ::send(to, text.data(), text.size(), 0); // HERE sendto
        return done * 2;
    }
};

struct Closer {
    int end;
    ~Closer() { ::shutdown(end, SHUT_RDWR); } // HERE shutdown
};

} // namespace wires

int main() {
    int ends[2];
    ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends); // HERE socketpair
    wires::Sender<std::string> sender{ends[0]};
    std::function<long()> closure = [&] {
        char text[8];
        return ::recv(ends[1], text, sizeof text, 0); // HERE recvfrom
    };
    try {
        wires::Closer closer{ends[0]};
        if (sender.send("hello") + closure() > 0)
            throw std::runtime_error("unwound");
    } catch (const std::exception &) {
        return 0;
    }
    return 1;
}
