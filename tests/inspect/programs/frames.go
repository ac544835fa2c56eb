// Waits at the bottom of a few calls: one thread in Go, the other in C, whose stack is another one.
package main

// #include <sys/socket.h>
// static int c_receive(int from) {
//     char byte;
//     return (int)recv(from, &byte, 1, 0) + byte; // HERE recvfrom 0 c_receive
// }
import "C"

import (
	"fmt"
	"os"
	"syscall"
)

//go:noinline
func receive(from int) int {
	var bytes [100]byte
	file := os.NewFile(uintptr(from), "a pair")
	n, _ := file.Read(bytes[:]) // HERE read 0 main.receive
	return n + int(bytes[3])
}

//go:noinline
func viaC(from int) int {
	return int(C.c_receive(C.int(from))) + 1 // HERE recvfrom 1 main.viaC
}

//go:noinline
func each(from int, how func(int) int) int {
	return how(from) + 1 // HERE read 1 main.each
}

func main() {
	one, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		panic(err)
	}
	two, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		panic(err)
	}
	go func() {
		each(two[0], viaC) // HERE recvfrom 3 main.main.func1
	}()
	fmt.Println("ready")
	each(one[0], receive) // HERE read 2 main.main
}
